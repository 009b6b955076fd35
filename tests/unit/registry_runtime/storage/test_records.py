"""Records: the one form of what is stored, and what is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused
from registry_runtime.storage.base import Conflict
from registry_runtime.storage.directory import Directory
from registry_runtime.storage.records import Record, Records

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = st.dictionaries(
    st.text().filter(lambda key: key not in {"version", "change"}),
    st.none() | st.integers() | st.text() | st.booleans(),
)
ONCE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)


@ONCE
@given(fields=FIELDS, payload=st.binary())
async def test_a_record_comes_back(tmp_path: Path, fields: dict[str, object], payload: bytes) -> None:
    """Fields and payload, whatever bytes it has, line breaks too."""
    records = Records(Directory(tmp_path))
    await records.put("k/r", Record(fields, payload))
    assert await records.get("k/r") == Record(fields, payload)


async def test_a_tombstone_reads_as_absent(tmp_path: Path) -> None:
    """It can be written over by who saw it, is not listed, and makes no page short."""
    records = Records(Directory(tmp_path))
    for name in ("a", "b", "c", "d"):
        await records.write(f"k/{name}", Record({"n": name}), None)
    seen = await records.read("k/b")
    assert seen.version
    await records.retract("k/b", seen.version)
    with pytest.raises(Conflict):
        await records.retract("k/b", seen.version)
    gone = await records.read("k/b")
    assert gone.record is None
    listing = await records.list("k/", limit=2)
    assert ([entry.key for entry in listing.entries], listing.more) == (["k/a", "k/c"], True)
    listing = await records.list("k/", limit=3)
    assert ([entry.key for entry in listing.entries], listing.more) == (["k/a", "k/c", "k/d"], False)
    with pytest.raises(Conflict):
        await records.write("k/b", Record({}), None)
    await records.write("k/b", Record({"n": "again"}), gone.version)
    assert await records.get("k/b") == Record({"n": "again"})


async def test_whether_there_is_a_record(tmp_path: Path) -> None:
    """A tombstone is none."""
    records = Records(Directory(tmp_path))
    assert not await records.has("k/r")
    await records.write("k/r", Record({}), None)
    assert await records.has("k/r")
    version = (await records.read("k/r")).version
    assert version
    await records.retract("k/r", version)
    assert not await records.has("k/r")


async def test_what_was_understood_is_not_read_twice(tmp_path: Path) -> None:
    """As long as nobody wrote: what another writer wrote is seen by the next read."""
    records, other = Records(Directory(tmp_path)), Records(Directory(tmp_path))
    await other.put("k/r", Record({"n": 1}))
    first = await records.get("k/r")
    assert await records.get("k/r") is first
    await other.put("k/r", Record({"n": 2}))
    assert await records.get("k/r") == Record({"n": 2})
    await other.delete(["k/r"])
    assert await records.get("k/r") is None
    for number in range(2100):
        await other.put(f"k/{number}", Record({"n": number}))
        await records.get(f"k/{number}")
    assert len(records._known) <= 2048


async def test_what_came_back_is_not_what_was_read(tmp_path: Path) -> None:
    """Written, changed and changed back: who read it before may not write over it."""
    records = Records(Directory(tmp_path))
    etags = [await records.write("k/r", Record({"state": "hidden"}), None)]
    for state in ("live", "hidden"):
        etags.append(await records.write("k/r", Record({"state": state}), etags[-1]))
    await records.put("k/r", Record({"state": "hidden"}))
    for seen in etags:
        with pytest.raises(Conflict):
            await records.write("k/r", Record({"state": "dead"}), seen)
        with pytest.raises(Conflict):
            await records.retract("k/r", seen)


async def test_a_record_of_before_is_read(tmp_path: Path) -> None:
    """One without the random field is a record too."""
    storage = Directory(tmp_path)
    await storage.put("k/r", [b'{"version":1,"n":2}\nrest'])
    assert await Records(storage).get("k/r") == Record({"n": 2}, b"rest")


async def test_long_listings_and_deletes_are_paged(tmp_path: Path) -> None:
    """More than the storage gives or takes at a time."""
    records = Records(Directory(tmp_path))
    keys = [f"k/{number:05}" for number in range(2300)]
    (tmp_path / "objects" / "k").mkdir(parents=True)
    for key in keys:
        (tmp_path / "objects" / key).write_text('{"version":1}\n')
    assert [entry.key for entry in (await records.list("k/", limit=2200)).entries] == keys[:2200]
    await records.delete(keys[:2100])
    assert [entry.key for entry in (await records.list("k/", limit=5000)).entries] == keys[2100:]


@pytest.mark.parametrize(
    "content", [b"\n", b"{}\n", b"[1]\n", b'{"version": 2}\n', b"garbage", b"\xff\n", b'{"version":"1"}\n']
)
async def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes) -> None:
    """Garbage, and a version of the future: said as somebody else's, with the key."""
    storage = Directory(tmp_path)
    await storage.put("k/x", [content])
    with pytest.raises(StorageRefused, match="k/x") as refused:
        await Records(storage).get("k/x")
    assert refused.value.reason is StorageReason.WRONG_OWNER
