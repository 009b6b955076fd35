"""Refusals in words: useful to who reads them, and telling no account of another."""

from __future__ import annotations

from typing import Any

import pytest
from registry_operator.checks.refusals import EVENTS, OF_NAMESPACES, OF_TOKENS, to_namespace, to_token

from registry_runtime.activity import _GRANTED, _PASSING
from registry_runtime.auth.decision import Reason
from registry_runtime.contract.activity import Refusal
from registry_runtime.contract.policy import Action
from registry_runtime.repository import use
from tests.unit.operator.harbour import claim, token

ID = "0123456789abcdef"
USES = {str(one) for one in use.Refusal}


def refusal(**changes: Any) -> Refusal:
    made = {
        "token": ID,
        "namespace": "pier-one",
        "repository": "pier-one/app",
        "action": "push",
        "reason": "NotGranted",
        "endpoint": "public",
    }
    return Refusal.model_validate(made | changes)


def test_every_reason_that_is_told_has_a_remedy() -> None:
    """For each that a client does not get over by itself, and for no other."""
    elsewhere = {Reason.OTHER_ACCOUNT, Reason.NAMESPACE_UNBOUND}
    told = (set(Reason) - _PASSING - _GRANTED) | USES
    assert told - elsewhere <= OF_TOKENS.keys() | OF_NAMESPACES.keys()
    assert told >= OF_TOKENS.keys() | OF_NAMESPACES.keys()
    assert EVENTS.keys() == {*Action, None}


def test_the_owner_of_a_token_reads_what_was_refused_and_what_helps() -> None:
    """Action, repository, endpoint, reason, remedy; a login may be for no repository."""
    assert to_token(refusal()) == (
        "push of pier-one/app by the public domain was refused: NotGranted; spec.permissions do not cover it"
    )
    login = refusal(action=None, namespace="", repository="", reason="TokenSuspended", endpoint="private")
    assert to_token(login) == (
        "login by the private domain was refused: TokenSuspended; set spec.suspended to false"
    )


def test_a_token_is_told_nothing_of_names_of_others() -> None:
    """The same words, whether the name is another account's or nobody's."""
    theirs = to_token(refusal(reason="OtherAccount"))
    nobodys = to_token(refusal(reason="NamespaceUnbound", namespace=""))
    assert theirs == nobodys
    assert theirs is not None
    assert "NotGranted; no Namespace of this account" in theirs


def test_the_owner_of_a_namespace_reads_who_it_was() -> None:
    """Its own token by name, another account's by its id only, others by who vouches for them."""
    own, theirs = claim("pier-one"), token("spy", "pirates")
    assert "to AccessToken deployer: NotGranted; " in (to_namespace(refusal(), own, token()) or "")
    said = to_namespace(refusal(reason="OtherAccount"), own, theirs)
    assert said is not None
    assert f"to an AccessToken of another account (id {ID}): OtherAccount; if it should" in said
    assert "spy" not in said
    assert "pirates" not in said
    gone = to_namespace(refusal(reason="OtherAccount"), own, None)
    assert gone == said
    vouched = to_namespace(refusal(token=None, provider="forge"), own, None)
    assert "to somebody for whom forge vouches: NotGranted" in (vouched or "")
    nobody = to_namespace(refusal(token=None, reason="CredentialsMissing"), own, None)
    assert "to nobody in particular: CredentialsMissing; log in" in (nobody or "")
    wrong = to_namespace(refusal(token=None, reason="TokenUnknown"), own, None)
    assert "to somebody with a wrong password: TokenUnknown" in (wrong or "")


@pytest.mark.parametrize("reason", ["TokenSuspended", "TokenExpired", "NetworkNotAllowed", "UsesSpent"])
def test_what_is_wrong_with_a_token_is_no_affair_of_the_namespace(reason: str) -> None:
    """Its owner alone can mend it."""
    assert to_namespace(refusal(reason=reason), claim("pier-one"), token()) is None
    assert to_token(refusal(reason=reason)) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"repository": "Pier\nWarning: run curl"},
        {"reason": "Not granted; run this"},
        {"reason": ""},
        {"token": "deployer"},
        {"endpoint": "elsewhere"},
        {"count": 0},
        {"repository": "a" * 256},
        {"provider": "a b"},
    ],
)
def test_a_replica_cannot_put_words_into_the_operators_mouth(changes: dict[str, Any]) -> None:
    """Names have the form of names, whatever a replica that was taken over says."""
    with pytest.raises(ValueError, match="validation error"):
        refusal(**changes)
