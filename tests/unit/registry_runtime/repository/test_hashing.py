"""Hashing what streams: in order, in threads, and remembered for the next request."""

from __future__ import annotations

import hashlib
import os

from registry_runtime.content.digest import Digest
from registry_runtime.repository.hashing import RunningHash, RunningHashes

PIECES = [os.urandom(size) for size in (1, 300_000, 10, 1_000_000, 300_000, 0, 7)]
WHOLE = b"".join(PIECES)


async def test_pieces_of_any_size_make_the_digest() -> None:
    """Small ones at once and large ones in threads, in the order in which they came."""
    for algorithm in ("sha256", "sha512"):
        running = RunningHash(algorithm)
        for piece in PIECES:
            await running.update(memoryview(piece))
        assert await running.digest() == Digest.of(WHOLE, algorithm)
        assert str(await running.digest()).endswith(hashlib.new(algorithm, WHOLE).hexdigest())


async def test_a_running_hash_waits_for_its_upload() -> None:
    """Found only for exactly its offset and algorithm, and as a copy: a request that fails spoils nothing."""
    kept = RunningHashes()
    running = RunningHash("sha256")
    await running.update(b"one")
    kept.keep("u", 3, running)
    assert await kept.find("u", 2, "sha256") is None
    assert await kept.find("u", 3, "sha512") is None
    assert await kept.find("v", 3, "sha256") is None
    for _ in range(2):
        found = await kept.find("u", 3, "sha256")
        assert found is not None
        await found.update(b"two")
        assert await found.digest() == Digest.of(b"onetwo")
    kept.forget("u")
    kept.forget("u")
    assert await kept.find("u", 3, "sha256") is None


async def test_only_so_many_are_kept() -> None:
    """The oldest go first."""
    kept = RunningHashes()
    for number in range(1100):
        kept.keep(f"u{number}", 0, RunningHash("sha256"))
    assert await kept.find("u0", 0, "sha256") is None
    assert await kept.find("u1099", 0, "sha256") is not None
    assert len(kept._kept) == 1024
