"""Each rule that keeps content safe, undone: the histories must find that something is lost.

Two are not here. That a manifest looks at a link before its pointer: to lose something without it takes a
mount and a manifest, both slow, between two collections; test_late.py, beside the unit tests of collection,
plays that by itself. And that a pointer that was live is looked at again after a while: for that a link has
to come back, and lead nowhere, which took 920 histories; test_manifests.py plays it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from unittest import mock

from registry_runtime.errors import BlobUnknown
from registry_runtime.repository import facts
from registry_runtime.repository.blobs import Blobs
from registry_runtime.repository.collection.receipt import Kind
from registry_runtime.repository.collection.repositories import _Loose
from registry_runtime.repository.collection.taking import Taking, _Dead
from registry_runtime.repository.intake import Intake
from registry_runtime.repository.manifests import Manifests
from registry_runtime.repository.pointers import Pointer, Pointers, State
from registry_runtime.repository.recent import Fresh
from registry_runtime.repository.sessions import Sessions
from registry_runtime.storage import paths
from registry_runtime.storage.base import Conflict
from tests.simulation.history import play

Mutant = Callable[[], Any]  # a patch, to be entered


def hunt(patches: Iterable[Mutant], seeds: Iterable[int], steps: int) -> tuple[int, str] | None:
    """The first of these histories that finds the rule undone, and what it lost."""
    for seed in seeds:
        with ExitStack() as stack:
            for patch in patches:
                stack.enter_context(patch())
            try:
                play(seed, steps)
            except AssertionError as error:
                return seed, str(error)
    return None


def _patch(owner: type, name: str) -> Callable[[Any], Mutant]:
    return lambda replacement: lambda: mock.patch.object(owner, name, replacement)


_require = Manifests._require
_seal = Intake.seal


async def _require_once(self: Any, *args: Any, keep: bool = False) -> None:
    if not keep:
        await _require(self, *args)


async def _only_look(self: Any, name: Any, digest: Any) -> bool:
    try:
        await self._pointer(name, digest)
    except BlobUnknown:
        return False
    return True


async def _retract_unseen(self: Any, key: str, _version: Any) -> bool:
    await self._storage.put(key, ())
    return True


async def _step_unseen(self: Any, key: str) -> Any:
    seen = await self.records.read(key)
    if seen.record is None or not self.is_old(seen.modified):
        return None
    pointer = Pointer.decode(seen.record)
    after = State.HIDDEN if pointer.state is State.LIVE else State.DEAD
    await self.records.put(key, replace(pointer, state=after).encode())
    version = (await self.records.read(key)).version
    return _Dead(key, version, pointer) if after is State.DEAD else None


async def _take_at_once(self: Any, kind: Kind, key: str) -> bool:
    seen = await self.records.read(key)
    if seen.record is None:
        return True
    return bool(self.is_old(seen.modified) and await self._retract(key, seen.version))


async def _step_at_once(self: Any, key: str) -> Any:
    seen = await self.records.read(key)
    if seen.record is None or not self.is_old(seen.modified):
        return None
    pointer = Pointer.decode(seen.record)
    try:
        version = await self.records.write(key, replace(pointer, state=State.DEAD).encode(), seen.version)
    except Conflict:
        return None
    return _Dead(key, version, pointer)


async def _data_first(self: Any, key: str) -> Any:
    seen = await self.records.read(key)
    if seen.record is None or not self.is_old(seen.modified):
        return None
    pointer = Pointer.decode(seen.record)
    dead = pointer.state is State.HIDDEN
    if dead:
        await self.records.delete([paths.data(pointer.data)])
    state = State.DEAD if dead else State.HIDDEN
    try:
        version = await self.records.write(key, replace(pointer, state=state).encode(), seen.version)
    except Conflict:
        return None
    return _Dead(key, version, pointer) if dead else None


async def _pointer_first(self: Any, name: Any, digest: Any, new: Any, by: str) -> str:
    pointer = await self._pointers.publish(digest, new)
    await self._link(name, digest, by)
    return str(pointer.data)


async def _mount_and_go(self: Any, target: Any, digest: Any, source: Any) -> bool:
    if not await self.has(source, digest):
        return False
    await self._link(target, digest, None)
    return True


async def _remove_unseen(records: Any, key: str) -> bool:
    there = await records.get(key)
    if there is not None:
        await records.delete([key])
    return there is not None


async def _publish_the_dead(self: Any, digest: Any, pointer: Any, _lost: str | None) -> Any:
    expected = None
    for _ in range(20):
        try:
            await self._records.write(self._records.tree.pointer(digest), pointer.encode(), expected)
        except Conflict:
            current, expected = await self._read(digest)
            if current is None or current.state is State.DEAD:
                continue
            if current.state is State.LIVE:
                return current
            pointer = replace(current, state=State.LIVE)
        else:
            return pointer
    raise AssertionError


async def _drop_unseen(self: Any, key: str) -> None:
    await self.records.delete([key])


async def _seal_once(self: Any, digest: Any) -> None:
    if self.session.commits != digest or (self.session.stored and not self._fence):
        await _seal(self, digest)


async def _find_stale(self: Any, uuid: str, _before: Any) -> Any:
    return await self.find(uuid, stale=True)


MUTANTS: dict[str, list[Mutant]] = {
    "a manifest does not look again at what it names": [_patch(Manifests, "_require")(_require_once)],
    "a manifest looks again and revives nothing": [_patch(Blobs, "has")(_only_look)],
    "a manifest counts on an index that was written at any time": [
        _patch(Fresh, "__contains__")(lambda self, key: key in self._met)
    ],
    "links and manifests are taken whatever is there by now": [_patch(Taking, "_retract")(_retract_unseen)],
    "pointers are hidden and killed whatever is there by now": [_patch(Taking, "_step")(_step_unseen)],
    "links and manifests are taken when they would be hidden": [_patch(Taking, "let_go")(_take_at_once)],
    "pointers are killed when they would be hidden": [_patch(Taking, "_step")(_step_at_once)],
    "what was hidden a moment ago is taken": [
        _patch(Taking, "is_old")(lambda _self, modified: bool(modified))
    ],
    "data goes before its pointer is dead": [_patch(Taking, "_step")(_data_first)],
    "a push publishes the pointer before the link": [_patch(Blobs, "publish")(_pointer_first)],
    "a mount does not look at the pointer again": [_patch(Blobs, "mount")(_mount_and_go)],
    "a push revives what died meanwhile": [_patch(Pointers, "_publish")(_publish_the_dead)],
    "facts are deleted by their keys": [lambda: mock.patch.object(facts, "remove", _remove_unseen)],
    "an index is dropped whatever is there by now": [_patch(Taking, "_drop")(_drop_unseen)],
    "an index goes a grace after it was written": [
        _patch(Taking, "is_abandoned")(lambda self, modified: self.is_old(modified))
    ],
    "a commit that is tried again leaves its session as it is": [_patch(Intake, "seal")(_seal_once)],
    "a session ends for the age that a listing told": [_patch(Sessions, "abandoned")(_find_stale)],
    "what was pushed since it was let go of goes all the same": [
        _patch(_Loose, "again")(property(lambda _self: False, lambda _self, _value: None))
    ],
}
