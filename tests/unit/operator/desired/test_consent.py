"""Whose pull secrets a Kubernetes namespace takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from registry_operator.desired.access_token import render, unwanted
from registry_operator.desired.consent import binding, mark, takes
from registry_operator.desired.rendered import identity
from registry_operator.models import Key
from registry_operator.observed import Consent, TokenObserved

from tests.unit.operator.harbour import NOW, accounts, placed, registry, token, view

PULL = Key("shop", "deployer-pull")


def seen(**named: bool) -> TokenObserved:
    """A token of harbour for the namespace shop, whose RoleBinding names these accounts."""
    found = registry()
    return TokenObserved(
        token(pullSecrets={"namespaces": ["shop", "harbour"]}),
        NOW,
        registries={found.key: found},
        kubernetes_namespaces=accounts("shop"),
        secrets=view(),
        consents={"shop": {"roadstead-secrets": Consent("to us", named)}},
    )


def written(one: TokenObserved) -> TokenObserved:
    """The same, when what is rendered stands there."""
    secrets = placed(one.token, render(one))
    return replace(one, secrets=view(secrets), placed=frozenset(secrets))


@pytest.mark.parametrize(
    ("named", "taken"),
    [
        ({}, False),
        ({"harbour": True}, True),
        ({"pier": True}, False),
        ({"All": True}, True),
        ({"All": True, "harbour": False}, False),
        ({"All": False, "harbour": True}, True),
    ],
)
def test_a_namespace_takes_what_it_names(named: dict[str, bool], *, taken: bool) -> None:
    """An account of its own name, or all; the account's own name says more. Nobody is let in by silence."""
    one = seen(**named)
    assert takes(one, PULL) is taken
    assert (PULL in {identity(child)[1] for child in render(one)}) is taken


def test_of_several_rolebindings_one_no_is_a_no() -> None:
    """A namespace may bind both roles; whoever closes one closes it."""
    both = {name: Consent("", {"harbour": said}) for name, said in (("a", True), ("b", False))}
    assert not takes(replace(seen(), consents={"shop": both}), PULL)
    assert takes(replace(seen(), consents={"shop": {"a": both["a"], "c": Consent("")}}), PULL)


def test_the_own_namespace_is_never_asked() -> None:
    """Whoever may make a token there may read every Secret there."""
    assert takes(seen(harbour=False), Key("harbour", "deployer-pull"))


def test_what_was_placed_goes_with_the_consent() -> None:
    """Taken back by removing the name or by a no; the Secret says that it came by a name."""
    there = written(seen(harbour=True))
    assert there.secrets.found[PULL].annotations[mark("harbour")] == "true"
    assert unwanted(there) == ()
    for named in ({}, {"harbour": False}, {"pier": True}):
        assert unwanted(replace(there, consents=seen(**named).consents)) == (PULL,)


def test_what_an_older_version_placed_stays_until_the_namespace_says_no() -> None:
    """An update of Roadstead stops no pull: such a Secret has no mark, and keeps getting the password."""
    there = written(seen(harbour=True))
    secret = there.secrets.found[PULL]
    bare = {name: value for name, value in secret.annotations.items() if name != mark("harbour")}
    older = replace(there, secrets=view({**there.secrets.found, PULL: replace(secret, annotations=bare)}))
    silent = replace(older, consents=seen(pier=True).consents)
    assert unwanted(silent) == ()
    (rendered,) = [child for child in render(silent) if identity(child)[1] == PULL]
    assert mark("harbour") not in rendered["metadata"]["annotations"]
    refusing = replace(older, consents=seen(harbour=False).consents)
    assert unwanted(refusing) == (PULL,)
    assert PULL not in {identity(child)[1] for child in render(refusing)}


def test_a_rolebinding_that_is_replaced_takes_nothing_away() -> None:
    """For a moment there is none: then there is no right to delete either."""
    there = replace(written(seen(harbour=True)), consents={})
    assert unwanted(there) == ()
    assert not takes(there, PULL)


def test_the_rolebinding_that_a_command_names_is_one_that_is_there() -> None:
    """A namespace with a Registry of its own has only the greater one."""
    assert binding(seen(), "shop") == "roadstead-secrets"
    assert binding(replace(seen(), consents={}), "shop") == "roadstead-secrets"
    greater = {"shop": {"roadstead-registry": Consent("")}}
    assert binding(replace(seen(), consents=greater), "shop") == "roadstead-registry"
