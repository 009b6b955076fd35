"""Secrets of many namespaces: what is kept, what is known, what consent changes."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from registry_operator import names
from registry_operator.cluster import Scope, Stream
from registry_operator.cluster import stream as stream_module
from registry_operator.cluster.resources import SECRETS
from registry_operator.models import Key
from registry_operator.observed import Absence, SecretData
from registry_operator.secrets import MANAGED_BY, Secrets

from tests.unit.operator.scripted import (
    ScriptedApi,
    event,
    events,
    eventually,
    listing,
    obj,
    scripted,
    status,
)

SHOP = "/api/v1/namespaces/shop/secrets"
OURS = {MANAGED_BY: "roadstead", names.OWNER_UID: "uid-1"}


def secret(name: str, version: str, labels: dict[str, str] | None = None, **values: str) -> dict[str, Any]:
    found = obj(
        name, version, data={key: base64.b64encode(one.encode()).decode() for key, one in values.items()}
    )
    found["metadata"]["labels"] = labels or {}
    return found


class Changes:
    """What was told."""

    def __init__(self) -> None:
        self.secrets: list[tuple[Key, bool, bool]] = []
        self.consents: list[str] = []

    def secret(self, key: Key, before: SecretData | None, after: SecretData | None) -> None:
        self.secrets.append((key, before is not None, after is not None))

    def consent(self, namespace: str) -> None:
        self.consents.append(namespace)


class Named:
    """Some resource names these, in whichever namespace."""

    def __init__(self, wanted: set[str]) -> None:
        self._wanted = wanted

    def wants_secret(self, key: Key) -> bool:
        return key.name in self._wanted

    def wanted_secrets(self, _namespace: str) -> frozenset[str]:
        return frozenset(self._wanted)


@asynccontextmanager
async def following(api: ScriptedApi, wanted: set[str]) -> AsyncIterator[tuple[Secrets, Changes]]:
    changes = Changes()
    async with scripted(api) as cluster:

        def opener(scope: Scope, sink: Any, keep: Any) -> Stream[SecretData]:
            return Stream(cluster, SECRETS, sink, keep, scope)

        secrets = Secrets(opener, Named(wanted), changes)
        secrets.follow({"shop"})
        try:
            yield secrets, changes
        finally:
            await secrets.close()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(stream_module, "FORBIDDEN_RETRY", 0.02)


async def test_only_what_is_ours_or_named_is_kept() -> None:
    """Of a namespace full of Secrets two stay in memory, and the password is not printed."""
    api = ScriptedApi()
    others = [secret(f"other-{number}", "1", value="private") for number in range(50)]
    api.on(SHOP, listing(secret("pull", "2", OURS, key="hidden"), secret("s3", "3", key="hidden"), *others))
    api.on(SHOP, events(event("ADDED", secret("another", "11", value="private"))), watch=True)
    async with following(api, {"s3"}) as (secrets, changes):
        await eventually(lambda: secrets.known({"shop"}))
        await asyncio.sleep(0.05)
        assert set(secrets.view.found) == {Key("shop", "pull"), Key("shop", "s3")}
        assert secrets.placed("uid-1") == {Key("shop", "pull")}
        assert "hidden" not in repr(secrets.view)
        assert changes.consents == ["shop"]


async def test_absence_means_nothing_before_the_first_answer() -> None:
    """While the list fails nothing is known: neither that a Secret is missing nor that it is forbidden."""
    api = ScriptedApi()
    api.on(SHOP, status(500))
    async with following(api, set()) as (secrets, changes):
        await eventually(lambda: api.count(SHOP) > 3)
        assert not secrets.known({"shop"})
        assert not secrets.view.refused
        assert not changes.consents


async def test_a_refusal_is_a_fact_and_consent_ends_it() -> None:
    """403 is told once, as often as it comes; the right that was granted is told, and with it the Secrets."""
    api = ScriptedApi()
    api.on(SHOP, *[status(403)] * 5, listing(secret("pull", "2", OURS)))
    api.on(SHOP, events(), watch=True)
    async with following(api, set()) as (secrets, changes):
        await eventually(lambda: secrets.view.refused == {"shop"})
        assert secrets.view.get(Key("shop", "pull")) is Absence.NOT_PERMITTED
        await eventually(lambda: isinstance(secrets.view.get(Key("shop", "pull")), SecretData))
        assert changes.consents == ["shop", "shop"]


async def test_consent_that_is_withdrawn_is_noticed_by_asking_anew() -> None:
    """A running watch goes on without the right; a RoleBinding that goes away starts it anew."""
    api = ScriptedApi()
    api.on(SHOP, listing(secret("pull", "2", OURS)), status(403))
    api.on(SHOP, events(), watch=True)
    async with following(api, set()) as (secrets, changes):
        await eventually(lambda: secrets.known({"shop"}))
        secrets.restart("shop")
        await eventually(lambda: secrets.view.refused == {"shop"})
        assert changes.consents == ["shop", "shop"]


async def test_a_late_event_does_not_undo_what_was_written() -> None:
    """Our own write's answer is newer than the event that is still on its way."""
    api = ScriptedApi()
    api.on(SHOP, listing(secret("pull", "2", OURS, key="old")))
    api.on(SHOP, events(), watch=True)
    async with following(api, set()) as (secrets, changes):
        await eventually(lambda: secrets.known({"shop"}))
        written = secrets.keep(secret("pull", "9", OURS, key="new"))
        late = secrets.keep(secret("pull", "5", OURS, key="late"))
        secrets.put(Key("shop", "pull"), written)
        secrets.put(Key("shop", "pull"), late)
        assert secrets.view.get(Key("shop", "pull")) == written
        assert len(changes.secrets) == 2  # the list's, and the write


async def test_what_is_told_of_a_deleted_secret_too_late_changes_nothing() -> None:
    """The answer to a write from before its deletion, and a list from before the write that made it anew."""
    api = ScriptedApi()
    api.on(SHOP, listing(secret("pull", "2", OURS)))
    api.on(SHOP, events(), watch=True)
    async with following(api, set()) as (secrets, _):
        await eventually(lambda: secrets.known({"shop"}))
        pull = Key("shop", "pull")
        secrets.remove(pull, "9")
        secrets.put(pull, secrets.keep(secret("pull", "8", OURS)))
        assert not secrets.view.found
        anew = secrets.keep(secret("pull", "12", OURS))
        secrets.put(pull, anew)
        secrets.listed("shop", {}, "11")
        secrets.remove(pull, "10")
        assert secrets.view.get(pull) == anew
        secrets.listed("shop", {}, "12")
        assert not secrets.view.found


async def test_a_namespace_that_is_left_leaves_nothing() -> None:
    """Neither Secrets nor the knowledge of having looked, nor a stream."""
    api = ScriptedApi()
    api.on(SHOP, listing(secret("pull", "2", OURS)))
    api.on(SHOP, events(), watch=True)
    async with following(api, set()) as (secrets, _):
        await eventually(lambda: secrets.known({"shop"}))
        secrets.follow(set())
        assert not secrets.view.found
        assert not secrets.known({"shop"})
        assert not secrets.followed


async def test_a_secret_that_is_named_later_was_not_looked_at() -> None:
    """What nobody named was dropped: it must be read once before its absence is believed."""
    api = ScriptedApi()
    api.on(SHOP, listing(secret("later", "2")))
    api.on(SHOP, events(), watch=True)
    wanted: set[str] = {"missing"}
    async with following(api, wanted) as (secrets, _):
        await eventually(lambda: secrets.known({"shop"}))
        wanted.add("later")
        later, missing = Key("shop", "later"), Key("shop", "missing")
        assert secrets.unlooked({later, missing}) == {later}
        secrets.put(later, secrets.keep(secret("later", "2")))
        assert not secrets.unlooked({later})


async def test_a_stream_that_ended_is_a_fault() -> None:
    """Liveness notices what nothing else would: these Secrets are not heard of any more."""
    api = ScriptedApi()
    api.on(SHOP, listing())
    api.on(SHOP, events(), watch=True)
    async with following(api, set()) as (secrets, _):
        await eventually(lambda: secrets.known({"shop"}))
        assert secrets.faults == []
        (task,) = [one for one in asyncio.all_tasks() if one.get_name() == "secrets of shop"]
        task.cancel()
        await eventually(lambda: secrets.faults == ["no stream: secrets of shop"])


async def test_secrets_are_found_by_their_owner() -> None:
    """As labels come, change and go, and when a namespace is followed no longer."""
    async with scripted(ScriptedApi()) as cluster:
        secrets = Secrets(lambda *sink: Stream(cluster, SECRETS, *sink), Named(set()), Changes())
        one, two = Key("shop", "one"), Key("shop", "two")

        def owned(version: str, uid: str) -> SecretData:
            return SecretData({}, resource_version=version, labels={names.OWNER_UID: uid})

        secrets.put(one, owned("1", "uid-1"))
        secrets.put(two, owned("2", "uid-1"))
        secrets.put(Key("shop", "nobodys"), SecretData({}))
        assert secrets.placed("uid-1") == {one, two}
        secrets.put(two, owned("3", "uid-2"))
        assert secrets.placed("uid-1") == {one}
        assert secrets.placed("uid-2") == {two}
        secrets.remove(one, "")
        secrets.remove(one, "")
        secrets.put(two, SecretData({}, resource_version="4"))
        assert not secrets.placed("uid-1") | secrets.placed("uid-2")
        secrets.put(two, owned("5", "uid-2"))
        assert secrets.placed("uid-2") == {two}
        secrets.put(two, None)
        assert not secrets.placed("uid-2")


def test_what_a_token_left_is_found_by_who_owns_it() -> None:
    """Of owners that are there nothing, and nothing of what never had one; nor what is gone by now."""
    secrets = Secrets(cast("Any", None), Named(set()), Changes())
    for name, owner in (("left", "gone"), ("kept", "there"), ("plain", None)):
        labels = {names.OWNER_UID: owner} if owner else {}
        secrets.put(Key("shop", name), SecretData({}, uid=name, labels=labels))
    there = frozenset({"there"})
    assert set(secrets.strays(there)) == {Key("shop", "left")}
    secrets.put(Key("shop", "left"), None)
    assert secrets.strays(there) == {}


def test_names_of_what_is_gone_are_forgotten() -> None:
    """CI makes a token for each build: each leaves the names of two Secrets."""
    secrets = Secrets(cast("Any", None), Named(set()), Changes())
    for number in range(1000):
        key = Key("shop", f"build-{number}")
        secrets.put(key, SecretData({}, labels=OURS))
        secrets.remove(key, "")
    assert secrets._looked == set()


def test_an_answer_that_came_late_takes_nothing_away() -> None:
    """Asked for, not there, made, told by its stream, and only then is the answer heard."""
    secrets = Secrets(cast("Any", None), Named({"late"}), Changes())
    key, made = Key("shop", "late"), SecretData({}, uid="u", resource_version="7")
    secrets.put(key, made)
    secrets.missed(key)
    assert secrets.view.get(key) == made
    assert secrets.unlooked([key]) == set()
