"""What resources are found by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from registry_operator.children import Pod
from registry_operator.models import Key
from registry_operator.tables import Parts, Tokens

from registry_runtime.contract.credential import token_id
from tests.unit.operator import harbour

NAMES = st.sampled_from(["a", "b"])
PULLS = st.sampled_from(
    [
        None,
        {"namespaces": ["x"], "name": "regcred", "serviceAccounts": ["web", "default"]},
        {"namespaces": ["y"]},
        {"selector": {"matchLabels": {"team": "sea"}}, "serviceAccounts": ["web"]},
        {"namespaces": ["x", "y"], "selector": {}, "serviceAccounts": ["default"]},
    ]
)
SEEN = st.tuples(
    NAMES, NAMES, st.sampled_from(["1", "2"]), st.sampled_from(["", "own-secret"]), PULLS, st.booleans()
)


@given(st.lists(SEEN, max_size=12))
def test_an_index_finds_what_a_look_at_each_would_find(
    history: list[tuple[str, str, str, str, Any, bool]],
) -> None:
    """Tokens that are made, changed, made again under the same name, and deleted."""
    table = Tokens()
    for version, (name, account, uid, secret, pulls, gone) in enumerate(history, 1):
        meta: dict[str, Any] = {"uid": f"uid-{account}-{name}-{uid}", "resourceVersion": str(version)}
        spec: dict[str, Any] = {"secretName": secret or None, "pullSecrets": pulls}
        token = harbour.token(name, account, meta, **{key: value for key, value in spec.items() if value})
        table.put(token.key, None if gone else token)
    there = list(table.objects.values())
    for token in there:
        assert table.by_id(token_id(token.meta.uid)) == token
    assert len(table.ids) == len(there)
    pulling = [(token, wanted) for token in there if (wanted := token.spec.pull_secrets)]
    selecting = {token.key for token, wanted in pulling if wanted.selector}
    assert {token.key for token in table.selecting()} == selecting
    assert table.targets() == {name for _, wanted in pulling for name in wanted.namespaces or ()}
    into = {
        space: [token for token, wanted in pulling if wanted.selector or space in (wanted.namespaces or ())]
        for space in "abxy"
    }
    for space, wanting in into.items():
        assert sorted(token.key for token in table.into(space)) == sorted(token.key for token in wanting)
        for name in ("web", "default", "other"):
            asking = {one.key for one, pulls in pulling if one in wanting and name in pulls.service_accounts}
            assert {token.key for token in table.asking(Key(space, name))} == asking
    for account in ("a", "b"):
        mine = {token.key for token in there if token.meta.namespace == account}
        assert {token.key for token in table.within(account)} == mine
    for key in (
        Key(space, name) for space in "abxy" for name in ("a", "b", "own-secret", "regcred", "a-pull")
    ):
        assert set(table.with_password(key)) == {token.key for token in there if token.secret == key}
        placing = {token.key for token in into[key.namespace] if token.pull_secret_name == key.name}
        assert set(table.with_pull_secret(key)) == placing


def test_a_part_is_found_by_the_registry_that_it_is_of() -> None:
    """Also after its label named another, and until it is gone."""
    parts: Parts[Pod] = Parts()
    one, other, pod = Key("harbour", "one"), Key("harbour", "other"), Key("harbour", "pod")
    assert parts.put(pod, Pod(one)) is None
    assert parts.put(pod, Pod(other)) == Pod(one)
    assert parts.of(one) == {}
    assert parts.of(other) == parts.objects == {pod: Pod(other)}
    assert parts.put(pod, None) == Pod(other)
    assert parts.of(other) == parts.objects == {}


def test_what_is_found_may_be_changed_while_it_is_looked_at() -> None:
    """Work on one brings changes of others."""
    table = Tokens()
    one = harbour.token("one")
    for token in (one, harbour.token("two")):
        table.put(token.key, token)
    for token in table.of(one.registries[0]):
        later = replace(token, meta=replace(token.meta, resource_version="9"))
        table.put(token.key, later)
        table.put(Key("harbour", "two"), None)
    assert list(table.objects) == [one.key]
