"""Rewrapping: from one key to the next while pushes go on, wherever it is killed."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.contract.policy import Uses
from registry_runtime.contract.state import StorageReason
from registry_runtime.encryption.vault import Vault
from registry_runtime.errors import StorageRefused, StorageUnavailable
from registry_runtime.repository import Allowance, Registry
from registry_runtime.repository.rewrapping import Rewrap
from registry_runtime.storage import paths
from registry_runtime.storage.records import Records
from tests.images import MIXED, body, image, push_blobs
from tests.keys import keyring
from tests.unit.registry_runtime.repository.interposed import Interposed, Killed, Mortal

if TYPE_CHECKING:
    from pathlib import Path

    from registry_runtime.storage.base import Storage
    from registry_runtime.storage.directory import Directory

NAME = RepositoryName("team/app")
V1 = Tag("v1")
IMAGE = image()
OLD, NEW = b"1" * 32, b"2" * 32


class Tenant:
    """An encrypted storage, its keys, and replicas of its registry."""

    def __init__(self, storage: Storage, directory: Path) -> None:
        self.storage = storage
        self.directory = directory
        self.keys = keyring(directory, k1=OLD, k2=NEW)
        self.vault = Vault(self.keys)
        self.now = 0.0

    def replica(self, through: Storage | None = None) -> Registry:
        return Registry(through or self.storage, MIXED, lambda: datetime.now(UTC), "owner", self.vault)

    def rewrap(self, through: Storage | None = None) -> Rewrap:
        records = Records(through or self.storage, self.vault)
        return Rewrap(records, lambda: datetime.now(UTC), lambda: self.now)

    async def ids(self) -> dict[str, str]:
        """The key of each envelope, by where it lies."""
        found = {}
        for entry in (await self.storage.list("")).entries:
            if not entry.key.startswith(("data/", "roadstead.json")):
                stored = await self.storage.get(entry.key)
                assert stored
                line = json.loads(stored.content.partition(b"\n")[0])
                if "salt" in line:
                    found[entry.key] = line["key"]
        return found

    def id(self, name: str) -> str:
        return self.keys.ids[name]


@pytest.fixture
async def tenant(storage: Directory, tmp_path: Path) -> Tenant:
    """An image was pushed, with a one-time token, and an upload begun, under k1; k2 is in use now."""
    made = Tenant(storage, tmp_path.parent / f"{tmp_path.name}-turning")
    registry = made.replica()
    assert (await registry.check()).reason is StorageReason.READY
    await push_blobs(registry, NAME, b"{}")
    await registry.manifests.put(NAME, V1, OCI_IMAGE, IMAGE, allowance=Allowance("t" * 16, Uses(limit=1)))
    registry.uploads.start(NAME)
    made.keys.use("k2")
    return made


async def readable(registry: Registry) -> bool:
    """Whether all that was pushed can be pulled."""
    manifest = await registry.manifests.get(NAME, V1)
    blob = await registry.blobs.open(NAME, Digest.of(b"{}"))
    return manifest.content == IMAGE and b"".join([bytes(chunk) async for chunk in blob.chunks]) == b"{}"


async def test_nothing_needs_the_old_key_afterwards(tenant: Tenant) -> None:
    """Every envelope is closed under the new key, and the old one may be taken away."""
    before = await tenant.ids()
    assert set(before.values()) == {tenant.id("k1")}
    progress = await tenant.rewrap().run(tenant.id("k2"), "turn 1")
    assert progress is not None
    assert (progress.done, progress.left, progress.rewrapped) == (True, 0, len(before))
    after = await tenant.ids()
    assert {key: after[key] for key in before} == dict.fromkeys(before, tenant.id("k2"))
    (tenant.directory / "k1").unlink()
    tenant.keys.refresh()
    registry = tenant.replica()
    assert (await registry.check()).reason is StorageReason.READY
    assert await readable(registry)


async def test_an_old_key_that_is_taken_away_too_early_is_missed(tenant: Tenant) -> None:
    """The check says which key to put back; when it is back, all is well."""
    lost = tenant.id("k1")
    (tenant.directory / "k1").unlink()
    tenant.keys.refresh()
    registry = tenant.replica()
    state = await registry.check()
    assert (state.reason, lost in state.message) == (StorageReason.KEY_MISSING, True)
    with pytest.raises(StorageRefused, match=lost):
        await registry.manifests.get(NAME, V1)
    progress = await tenant.rewrap().run(tenant.id("k2"), "turn 1")
    assert progress is not None
    assert (progress.done, progress.left > 0) == (True, True)
    (tenant.directory / "k1").write_bytes(OLD)
    tenant.keys.refresh()
    assert (await registry.check()).reason is StorageReason.READY
    assert await readable(registry)


async def test_a_push_goes_on_under_it(tenant: Tenant) -> None:
    """Between any two calls of an upload its session may be closed anew: the client does not notice."""
    for step in range(1, 40):
        content = bytes([step]) * 300_000
        calls = 0

        async def turn(_operation: str, _key: str) -> None:
            nonlocal calls
            calls += 1
            if calls == step:  # noqa: B023 - called in this round only
                other = tenant.id("k1") if tenant.keys.active_name == "k2" else tenant.id("k2")
                tenant.keys.use("k1" if tenant.keys.active_name == "k2" else "k2")
                await tenant.rewrap().run(other, f"turn {step}")  # noqa: B023

        registry = tenant.replica(Interposed(tenant.storage, turn))
        upload = registry.uploads.start(NAME)
        await registry.uploads.append(NAME, upload.id, body(content[:200_000]))
        await registry.uploads.append(NAME, upload.id, body(content[200_000:]))
        await registry.uploads.commit(NAME, upload.id, Digest.of(content))
        await registry.manifests.put(NAME, Tag("moved"), OCI_IMAGE, image(annotations={"n": str(step)}))
        pulled = await registry.blobs.open(NAME, Digest.of(content))
        assert b"".join([bytes(chunk) async for chunk in pulled.chunks]) == content
        if calls < step:
            return
    raise AssertionError("a push takes fewer calls")


@pytest.mark.parametrize("effect", ["lost", "done"])
async def test_a_pass_that_is_killed_is_gone_on_with(tenant: Tenant, effect: str) -> None:
    """By another replica, when there was no news of it for a minute; what was done is not done again."""
    for fatal in range(1, 60):
        key, name = ("k2", "k1")[fatal % 2], f"turn {fatal}"
        tenant.keys.use(key)
        dying = Mortal(tenant.storage, fatal, effect)
        try:
            await tenant.rewrap(dying).run(tenant.id(key), name)
        except Killed:
            await dying.settle()
        else:
            return
        assert await readable(tenant.replica())
        other = tenant.rewrap()
        first = await other.run(tenant.id(key), name)
        tenant.now += 61
        second = await other.run(tenant.id(key), name) if first is None or not first.done else first
        assert second is not None
        assert (second.done, second.left) == (True, 0)
        assert set((await tenant.ids()).values()) == {tenant.id(key)}
    raise AssertionError("a pass takes fewer calls")


async def test_a_turn_that_could_not_begin_begins_later(tenant: Tenant) -> None:
    """The storage fails at the first write of a pass: the same replica makes it when the storage is back."""
    away = True

    async def fail(operation: str, key: str) -> None:
        if away and (operation, key) == ("put", paths.REWRAPPING):
            raise StorageUnavailable("away")

    await tenant.rewrap().run(tenant.id("k1"), "turn 1")
    late = tenant.rewrap(Interposed(tenant.storage, fail))
    with pytest.raises(StorageUnavailable):
        await late.run(tenant.id("k2"), "turn 2")
    away = False
    progress = await late.run(tenant.id("k2"), "turn 2")
    assert progress is not None
    assert (progress.done, progress.turn) == (True, "turn 2")


async def test_two_replicas_make_one_pass(tenant: Tenant) -> None:
    """The one that comes later only reports; one that was left behind in an old turn begins nothing."""
    late = tenant.rewrap()
    await late.run(tenant.id("k2"), "turn 1")
    progress = await asyncio.gather(*(tenant.rewrap().run(tenant.id("k2"), "turn 2") for _ in range(3)))
    assert sum(one is not None and one.examined > 0 and one.done for one in progress) >= 1
    assert await late.run(tenant.id("k2"), "turn 1") is None
    seen = await late.run(tenant.id("k2"), "turn 2")
    assert seen is not None
    assert (seen.done, seen.turn) == (True, "turn 2")


async def test_what_cannot_be_opened_is_counted_and_left(tenant: Tenant) -> None:
    """An envelope that somebody changed ends no pass, and the pass does not say that all is well."""
    (pointer,) = (await tenant.storage.list("blobs/")).entries
    found = await tenant.storage.get(pointer.key)
    assert found
    await tenant.storage.put(pointer.key, [found.content[:-1] + bytes([found.content[-1] ^ 1])])
    progress = await tenant.rewrap().run(tenant.id("k2"), "turn 1")
    assert progress is not None
    assert (progress.done, progress.left) == (True, 1)
