"""The access policy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from registry_operator import names
from registry_operator.desired.draft import draft
from registry_operator.desired.policy import password, policy, settlement
from registry_operator.errors import InvalidResource
from registry_operator.models import AccessToken, Permission
from registry_operator.observed import Absence, RegistryObserved, SecretData, Unreadable

from registry_runtime.contract.credential import Password, token_id
from registry_runtime.contract.policy import Action, Claim, Policy
from tests.unit.operator.harbour import (
    MADE,
    accounts,
    claim,
    observed,
    password_secret,
    registry,
    running,
    token,
    view,
)

ROBOT = token(expiresAfter="30d", suspended=True)
SECRET, MADE_PASSWORD = password_secret(ROBOT)


def test_a_token_is_known_by_the_hash_of_its_password() -> None:
    """Account, hash, grants, end and suspension; the password itself is nowhere in it."""
    seen = observed(tokens=(ROBOT,), namespaces=(claim(),), secrets=view({ROBOT.secret: SECRET}))
    found = policy(seen, settlement(seen))
    (known,) = found.tokens.values()
    assert known.hashes == (MADE_PASSWORD.sha256,)
    assert (known.account, known.owner) == ("harbour", "uid-of-harbour")
    assert known.not_after == ROBOT.expires
    assert known.suspended
    assert found.namespaces == {"pier-one": Claim(account="harbour", owner="uid-of-harbour")}
    assert MADE_PASSWORD.text not in found.encode().decode()


def test_who_pulls_may_list_tags() -> None:
    """The actions of a permission in the words of the contract."""
    permission = Permission(repositories=("pier-one/*",), actions=("pull", "delete"))
    assert permission.grant.actions == {Action.PULL, Action.LIST, Action.DELETE}
    assert permission.grant.repositories == ("pier-one/*",)


@pytest.mark.parametrize(
    "secret",
    [
        Absence.MISSING,
        Absence.NOT_PERMITTED,
        replace(SECRET, owners=()),
        replace(SECRET, owners=("uid-of-another-token",)),
        replace(SECRET, deleting=True),
        replace(SECRET, values={}),
        replace(SECRET, values={"password": b"\xff"}),
        replace(SECRET, values={"password": b"hunter2"}),
        replace(SECRET, values={"password": Password.generate(token_id("another")).text.encode()}),
    ],
)
def test_only_the_tokens_own_secret_is_a_way_in(secret: SecretData | Absence) -> None:
    """A Secret that a user made, copied from another token or wrote into gives no access."""
    assert password(ROBOT, secret) is None
    assert password(ROBOT, SECRET) == MADE_PASSWORD


@pytest.fixture
def guest() -> RegistryObserved:
    """A token of another account, in force."""
    robot = token(account="shop", permissions=[{"repositories": ["shop/**"], "actions": ["pull"]}])
    open_ = registry(allowedNamespaces={"from": "All"})
    made = view({robot.secret: password_secret(robot)[0]})
    return running(
        observed(
            open_,
            tokens=(robot,),
            namespaces=(claim(), claim("shop", "shop")),
            kubernetes_namespaces=accounts("shop"),
            secrets=made,
        )
    )[0]


def refused(seen: RegistryObserved, *tokens: AccessToken) -> RegistryObserved:
    """The Secrets of shop may not be read any more."""
    return replace(
        seen, tokens=tokens or seen.tokens, secrets=replace(seen.secrets, refused=frozenset({"shop"}))
    )


def test_what_may_not_be_read_stays_in_force(guest: RegistryObserved) -> None:
    """A withdrawn consent changes no byte of the policy, and no claim: what is written again is the same."""
    (before,) = policy(guest, settlement(guest)).tokens.values()
    assert before.hashes
    assert set(settlement(guest).data) == {"pier-one", "shop"}
    assert draft(refused(guest)) == draft(guest)


def test_what_is_declared_counts_also_where_the_password_is_not_read(guest: RegistryObserved) -> None:
    """Grants, end and suspension follow the spec; a token that is gone, or is another, is out."""
    spec: dict[str, Any] = {
        "permissions": [{"repositories": ["shop/a"], "actions": ["pull"]}],
        "suspended": True,
    }
    changed = refused(guest, token(account="shop", expiresAt="2027-01-01T00:00:00Z", **spec))
    (before,) = policy(guest, settlement(guest)).tokens.values()
    (after,) = policy(changed, settlement(changed)).tokens.values()
    assert after.hashes == before.hashes
    assert (after.account, after.owner) == ("shop", "uid-of-shop")
    assert after.suspended
    assert after.not_after
    assert after.grants[0].repositories == ("shop/a",)
    for gone in (
        replace(refused(guest), tokens=()),
        refused(guest, token(account="shop", meta={"uid": "made-again"})),
        refused(guest, token(account="shop", meta={"deletionTimestamp": MADE.isoformat()})),
        replace(refused(guest), registry=registry()),  # it lets its own account in only
        replace(refused(guest), kubernetes_namespaces=accounts()),
    ):
        assert policy(gone, settlement(gone)).tokens == {}


def test_a_password_that_is_missing_is_out(guest: RegistryObserved) -> None:
    """Deleted is something else than not permitted: who deletes the Secret revokes the password."""
    robot = guest.tokens[0]
    found = {key: data for key, data in guest.secrets.found.items() if key != robot.secret}
    gone = replace(guest, secrets=replace(guest.secrets, found=found))
    assert policy(gone, settlement(gone)).tokens == {}


@pytest.mark.parametrize(
    "changes", [{"owners": frozenset()}, {"values": {}}, {"values": {"policy.json.gz": b"\xff{"}}]
)
def test_only_a_policy_of_our_own_is_carried_on(guest: RegistryObserved, changes: dict[str, Any]) -> None:
    """What somebody else put there, or what nobody can read, gives no access."""
    shards = names.policies(guest.registry)
    found = {
        key: replace(data, **changes) if key in shards else data for key, data in guest.secrets.found.items()
    }
    seen = refused(replace(guest, secrets=replace(guest.secrets, found=found)))
    assert policy(seen, settlement(seen)).tokens == {}


def test_a_token_that_is_being_deleted_is_out_at_once() -> None:
    """Revocation does not wait for the object to be gone."""
    going = token(meta={"deletionTimestamp": MADE.isoformat()})
    seen = observed(tokens=(going,), secrets=view({going.secret: password_secret(going)[0]}))
    assert policy(seen, settlement(seen)).tokens == {}


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True))
def test_no_password_and_no_order_of_reading_is_in_a_policy(called: list[str]) -> None:
    """Equal resources in any order give equal bytes, and no bytes give a password away."""
    robots = [token(name) for name in called]
    made = {robot.secret: password_secret(robot) for robot in robots}
    found = view({key: secret for key, (secret, _) in made.items()})
    there, back = (
        policy(seen, settlement(seen)).encode()
        for seen in (
            observed(tokens=tuple(robots), secrets=found),
            observed(tokens=tuple(reversed(robots)), secrets=found),
        )
    )
    assert there == back
    for _, password_ in made.values():
        assert password_.text.encode() not in there
        assert password_.text[-58:].encode() not in there


def test_what_cannot_be_read_stays_in_the_policy_in_force() -> None:
    """After a restart nothing is known of them but that they are there: no right is taken back."""
    robot, berth = token(), claim()
    secret, _ = password_secret(robot)
    before, _ = running(observed(tokens=(robot,), namespaces=(berth,), secrets=view({robot.secret: secret})))
    whole = policy(before, settlement(before))
    assert whole.tokens
    assert whole.namespaces
    error = InvalidResource("a resource", "cannot be read")
    raw = [
        {"metadata": {"uid": one.meta.uid, "namespace": "harbour"}, "spec": {"name": "pier-one"}}
        for one in (robot, berth)
    ]
    lost = replace(before, tokens=(), namespaces=())
    assert policy(lost, settlement(lost)) == Policy()
    kept = replace(lost, unreadable=tuple(Unreadable(one, error) for one in raw))
    assert policy(kept, settlement(kept)) == whole
    gone = replace(kept, kubernetes_namespaces={})
    assert policy(gone, settlement(gone)) == Policy()
