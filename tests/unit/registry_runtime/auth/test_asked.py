"""Whom a question is about, by name."""

from __future__ import annotations

import json

import pytest

from registry_runtime.auth.asked import NameUnreadable, identity_of
from registry_runtime.auth.identity import ANYBODY
from registry_runtime.auth.vouched import by_cluster
from registry_runtime.contract import subject
from registry_runtime.contract.policy import Access, Action, Claim, Policy
from registry_runtime.contract.subject import KubernetesProvider, OidcProvider

CI = subject.oidc("forge", {"repository": "shop/*"})
POLICY = Policy(
    oidc={"forge": OidcProvider(issuer="https://forge.test", audience="us", claims={"org": "shop"})},
    namespaces={
        "team": Claim(
            account="a",
            owner="a",
            access=(Access(repositories=("team/**",), actions=frozenset(Action), subjects=(CI,)),),
        )
    },
)


def test_a_service_account_is_who_its_token_would_make_it() -> None:
    """The same identity, but for when its token ends."""
    named = identity_of("serviceaccount:shop/web", POLICY, "192.0.2.1")
    shown = by_cluster(KubernetesProvider(audience="us"), {"sub": "system:serviceaccount:shop:web"}, 0)
    assert (named.who, named.subjects, named.source) == (shown.who, shown.subjects, "192.0.2.1")


def test_claims_are_matched_as_those_of_an_id_token() -> None:
    """By the subjects of the policy, and by the provider's own rules."""
    claims = {"sub": "ci", "org": "shop", "repository": "shop/web"}
    named = identity_of(f"oidc:forge:{json.dumps(claims)}", POLICY)
    assert (named.who, named.subjects) == ("forge:ci", frozenset({CI}))
    with pytest.raises(NameUnreadable, match="the provider's rules refuse"):
        identity_of(f"oidc:forge:{json.dumps(claims | {'org': 'other'})}", POLICY)


def test_a_token_by_its_id_and_anybody() -> None:
    """Whether there is such a token is for the decision to say."""
    assert identity_of("token:robot", POLICY).token == "robot"
    assert identity_of("anybody", POLICY) == ANYBODY


@pytest.mark.parametrize(
    "text",
    [
        *("", "token:", "robot", "serviceaccount:web", "serviceaccount:a/b/c", "serviceaccount:/x"),
        *("oidc:none:{}", "oidc:forge:[]", "oidc:forge:{", "oidc:forge", f"oidc:forge:{'[' * 100_000}"),
    ],
)
def test_what_is_no_name(text: str) -> None:
    """A sentence, whatever was sent."""
    with pytest.raises(NameUnreadable):
        identity_of(text, POLICY)
