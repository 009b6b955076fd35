"""What is the directory's own: crashes, several processes, bounded memory."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused
from registry_runtime.storage import files
from registry_runtime.storage.base import Conflict, Place
from registry_runtime.storage.directory import Directory
from registry_runtime.storage.files import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry_runtime.content.buffer import Buffer

MIB = 1024 * 1024


def _count(root: Path, writer: int) -> None:
    """Adds one, forty times, as a process of its own."""

    async def add() -> None:
        storage = Directory(root)
        for step in range(40):
            while True:
                seen = await storage.get("p/count")
                assert seen is not None
                more = int(seen.content.split()[0]) + 1
                try:
                    await storage.put("p/count", [f"{more} {writer} {step}".encode()], match=seen.etag)
                except Conflict:
                    continue
                break

    asyncio.run(add())


async def test_processes_share_a_directory(tmp_path: Path) -> None:
    """Four processes count with If-Match and lose nothing."""
    await Directory(tmp_path).put("p/count", [b"0"])
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_count, args=(tmp_path, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        await asyncio.to_thread(worker.join)
        assert worker.exitcode == 0
    found = await Directory(tmp_path).get("p/count")
    assert found is not None
    assert found.content.startswith(b"160 ")


def _write_for_ever(root: Path) -> None:
    async def write() -> None:
        storage = Directory(root)
        for number in range(1_000_000):
            await storage.put(f"k/{number % 10}", [bytes([number % 256]) * MIB])

    asyncio.run(write())


async def test_a_killed_process_leaves_no_half_object(tmp_path: Path) -> None:
    """Killed in the middle of writes: every object is whole, and what is left over is swept."""
    spawn = multiprocessing.get_context("spawn")
    storage = Directory(tmp_path)
    for _ in range(3):
        worker = spawn.Process(target=_write_for_ever, args=(tmp_path,))
        worker.start()
        while not (await storage.list("k/")).entries or worker.pid is None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        os.kill(worker.pid, signal.SIGKILL)
        await asyncio.to_thread(worker.join)
        for entry in (await storage.list("k/")).entries:
            found = await storage.get(entry.key)
            assert found is not None
            assert len(found.content) == MIB
            assert len(set(found.content)) == 1
    (tmp_path / "temporary" / "left").write_text("x")
    now = datetime.now(UTC)
    assert await storage.sweep(now - timedelta(hours=1)) == 0
    assert await storage.sweep(now + timedelta(hours=1)) >= 1
    assert list((tmp_path / "temporary").iterdir()) == []


async def test_a_writer_that_comes_late_writes_over_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It passed the fence and is slow to write: who has a higher fence waits, and its bytes are the last."""
    over, inside = threading.Event(), threading.Event()

    def write_at(descriptor: int, content: Sequence[Buffer], offset: int) -> int:
        if content[0] == b"late":
            inside.set()
            over.wait(0.3)
        return write(descriptor, content, offset)

    write = files.write_at
    monkeypatch.setattr(files, "write_at", write_at)
    storage = Directory(tmp_path)
    multipart = await storage.begin("data/x")
    late = asyncio.ensure_future(storage.write(multipart, Place(1, 0, 1), [b"late"]))
    await asyncio.to_thread(inside.wait, 5)
    part = await storage.write(multipart, Place(33, 0, 33), [b"good"])
    over.set()
    await late
    await storage.complete(multipart, [part], fence=33)
    found = await storage.get("data/x")
    assert found is not None
    assert found.content == b"good"


def _resident() -> int:
    """Bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_reading_keeps_memory_flat(tmp_path: Path) -> None:
    """A large object is read piece by piece, into memory that is used again."""
    storage = Directory(tmp_path)
    multipart = await storage.begin("data/large")
    block = os.urandom(8 * MIB)
    parts = [
        await storage.write(multipart, Place(number, (number - 1) * len(block), 1), [block])
        for number in range(1, 25)
    ]
    await storage.complete(multipart, parts, fence=1)
    before, most, total = _resident(), 0, 0
    async for chunk in await storage.open("data/large"):
        total += sum(memoryview(chunk)[::4096])  # touches every page
        most = max(most, _resident() - before)
    assert total > 0
    assert most < 16 * MIB


async def test_a_deleted_object_is_read_to_its_end(tmp_path: Path) -> None:
    """A reader that has begun keeps what it reads, whoever deletes it."""
    storage = Directory(tmp_path)
    content = os.urandom(3 * MIB)
    await storage.put("data/x", [content])
    chunks = await storage.open("data/x")
    first = bytes(await anext(chunks))
    await storage.delete(["data/x"])
    assert first + b"".join([bytes(chunk) async for chunk in chunks]) == content


async def test_empty_folders_go_with_their_last_object(tmp_path: Path) -> None:
    """Nothing of a repository that is gone stays, and writers at the same time do not mind."""
    storage = Directory(tmp_path)

    async def come_and_go(number: int) -> None:
        for _ in range(300):
            await storage.put(f"a/b/c/{number}", [b"x"], absent=True)
            await storage.delete([f"a/b/c/{number}"])

    await asyncio.gather(*(come_and_go(number) for number in range(4)))
    assert list((tmp_path / "objects").iterdir()) == []


async def test_a_directory_that_is_not_ours() -> None:
    """Where nobody may write, not even root, it is somebody's to mend."""
    with pytest.raises(StorageRefused) as refused:
        await Directory(Path("/sys/roadstead")).put("k", [b"x"])
    assert refused.value.reason is StorageReason.DENIED


@pytest.mark.parametrize("component", ["", ".", "..", ".x", "a/b", "\x00", "%2E", "%", "a" * 255, "é"])
def test_components_become_safe_names(component: str) -> None:
    """No slash, no null, no leading dot, not empty, and no two components share a name."""
    name = escape(component)
    assert name
    assert not name.startswith(".")
    assert "/" not in name
    assert "\x00" not in name
    others = {escape(other) for other in ("", ".", "..", ".x", "a/b", "%2E", "%", "x") if other != component}
    assert name not in others


async def test_erasing_nothing_takes_nothing_that_comes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who erases saw that there is nothing; another process writes there at this moment, and is told so."""
    storage, other = Directory(tmp_path), Directory(tmp_path)
    look = files.read

    def slow(path: str) -> bytes | None:
        found = look(path)
        other._put("a/key", b"new", True, None)
        return found

    monkeypatch.setattr(files, "read", slow)
    await storage.erase("a/key", "of another time")
    found = await storage.get("a/key")
    assert found is not None
    assert found.content == b"new"
