"""Pointers: one wins, the dead are replaced, and fields of a later version survive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.repository.pointers import Pointer, Pointers, State
from registry_runtime.repository.recent import Fresh
from registry_runtime.storage.paths import Tree
from registry_runtime.storage.records import Record, Records

if TYPE_CHECKING:
    from registry_runtime.storage.directory import Directory

TREE = Tree()

DIGEST = Digest.of(b"x")


@pytest.fixture
def records(storage: Directory) -> Records:
    return Records(storage)


def _pointers(records: Records) -> Pointers:
    return Pointers(records, Fresh(0))


async def test_of_many_publishers_one_wins(records: Records) -> None:
    """All are told the same data, and it is one of theirs."""
    pointers = [Pointer.to(f"data-{number}", 1) for number in range(10)]
    won = await asyncio.gather(*(_pointers(records).publish(DIGEST, pointer) for pointer in pointers))
    assert len({pointer.data for pointer in won}) == 1
    assert await _pointers(records).get(DIGEST) == won[0]
    assert await _pointers(records).names(DIGEST, won[0].data)
    assert not await _pointers(records).names(DIGEST, "other")


async def test_the_dead_are_replaced_by_one(records: Records) -> None:
    """Nobody reads or revives it; of those who push again one wins."""
    await records.put(TREE.pointer(DIGEST), Pointer("old", 1, State.DEAD, {}).encode())
    assert await _pointers(records).get(DIGEST) is None
    assert await _pointers(records).revive(DIGEST) is None
    pointers = [Pointer.to(f"new-{number}", 1) for number in range(5)]
    won = await asyncio.gather(*(_pointers(records).publish(DIGEST, pointer) for pointer in pointers))
    assert len({pointer.data for pointer in won}) == 1
    assert won[0].data != "old"


async def test_fields_of_a_later_version_are_carried(records: Records) -> None:
    """A wrapped key survives being revived, by a push and by a mount."""
    later = {"data": "d", "size": 1, "state": "hidden", "key": {"wrapped": "abc", "by": "k1"}}
    for revive in (
        _pointers(records).revive(DIGEST),
        _pointers(records).publish(DIGEST, Pointer.to("e", 1)),
    ):
        await records.put(TREE.pointer(DIGEST), Record(later))
        revived = await revive
        assert revived is not None
        assert revived.data == "d"
        stored = await records.get(TREE.pointer(DIGEST))
        assert stored is not None
        assert stored.fields == {**later, "state": "live"}
