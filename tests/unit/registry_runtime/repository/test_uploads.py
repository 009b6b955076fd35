"""Uploads: through any replica, cut off, raced, repeated and given up."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.name import RepositoryName
from registry_runtime.errors import (
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    RangeNotSatisfiable,
    RegistryError,
    SizeInvalid,
    StorageUnavailable,
)
from registry_runtime.repository.intake import CLAIM, GROWTH, PART, PARTS, part_size
from registry_runtime.repository.uploads import PARTS_MEMORY
from registry_runtime.storage.base import SMALL
from tests.images import MIXED, Cut, body, pull
from tests.unit.registry_runtime.repository.interposed import Interposed, Killed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from registry_runtime.repository import Registry
    from registry_runtime.repository.sessions import Held
    from registry_runtime.storage.directory import Directory

NAME = RepositoryName("team/app")
SMALL_BLOB = os.urandom(10_000)
LARGE_BLOB = os.urandom(2 * 8 * 1024 * 1024 + SMALL + 4711)  # three parts
SIZES = pytest.mark.parametrize("content", [b"", b"x", SMALL_BLOB, LARGE_BLOB], ids=len)


async def keys(storage: Directory) -> set[str]:
    """All keys but the marker's, and the multiparts that are not done."""
    listing = await storage.list("")
    return {entry.key for entry in listing.entries if not entry.key.startswith("roadstead")} | {
        f"unfinished {one.multipart.key}" for one in await storage.unfinished("")
    }


async def later(registry: Registry) -> int:
    return await registry.uploads.stale.run(datetime.now(UTC) + timedelta(days=2))


@SIZES
async def test_one_request_makes_a_blob(registry: Registry, storage: Directory, content: bytes) -> None:
    """A monolithic push is read back, and leaves data, pointer, index and link; few bytes no data."""
    digest = Digest.of(content)
    pushed = await registry.uploads.push(NAME, digest, body(content), "me")
    assert (pushed.digest, pushed.size) == (digest, len(content))
    assert await registry.blobs.stat(NAME, digest) == pushed
    assert await pull(registry, NAME, digest) == content
    left = {"blobs", "placements", "repositories"}
    if len(content) > MIXED.inline_bytes:
        left.add("data")
    assert {key.split("/")[0] for key in await keys(storage)} == left
    assert len(await keys(storage)) == len(left)


@SIZES
async def test_each_request_may_reach_another_replica(
    replica: Callable[..., Registry], content: bytes
) -> None:
    """POST, PATCHes of uneven sizes and PUT, each at a replica that knows nothing of the others."""
    digest = Digest.of(content)
    upload = replica().uploads.start(NAME)
    step = max(1, len(content) // 5 + 1)
    for start in range(0, len(content), step):
        chunk = content[start : start + step]
        upload = await replica().uploads.append(
            NAME, upload.id, body(chunk), "me", start=start, length=len(chunk)
        )
        assert upload == await replica().uploads.status(NAME, upload.id)
    assert (upload.received, upload.by) == (len(content), "me" if content else None)
    await replica().uploads.commit(NAME, upload.id, digest)
    assert await pull(replica(), NAME, digest) == content
    if content:
        with pytest.raises(BlobUploadUnknown):
            await replica().uploads.status(NAME, upload.id)


@SIZES
async def test_the_algorithm_may_come_last(registry: Registry, content: bytes) -> None:
    """A closing PUT with sha512 after chunks that were hashed as sha256, its body the last chunk."""
    digest = Digest.of(content, "sha512")
    middle = len(content) * 2 // 3
    upload = registry.uploads.start(NAME)
    await registry.uploads.append(NAME, upload.id, body(content[:middle]))
    await registry.uploads.commit(NAME, upload.id, digest, body(content[middle:]), start=middle)
    assert await pull(registry, NAME, digest) == content


async def test_the_usual_push_is_not_read_again(storage: Directory, replica: Callable[..., Registry]) -> None:
    """POST, PATCH, PUT at three replicas: the digest travels with the session."""
    opened: list[str] = []

    async def note(operation: str, key: str) -> None:
        if operation == "open":
            opened.append(key)

    upload = replica(Interposed(storage, note)).uploads.start(NAME)
    await replica(Interposed(storage, note)).uploads.append(NAME, upload.id, body(LARGE_BLOB))
    await replica(Interposed(storage, note)).uploads.commit(NAME, upload.id, Digest.of(LARGE_BLOB))
    assert opened == []


async def test_a_request_out_of_order_is_refused(registry: Registry) -> None:
    """PATCH and PUT at another offset say where to go on, and change nothing."""
    upload = registry.uploads.start(NAME)
    await registry.uploads.append(NAME, upload.id, body(b"12345"), start=0, length=5)
    whole = Digest.of(b"12345678")
    for start in (0, 4, 6):
        with pytest.raises(RangeNotSatisfiable) as refused:
            await registry.uploads.append(NAME, upload.id, body(b"678"), start=start)
        assert refused.value.size == 5
        with pytest.raises(RangeNotSatisfiable) as refused:
            await registry.uploads.commit(NAME, upload.id, Digest.of(b"12345678"), body(b"678"), start=start)
        assert refused.value.size == 5
    await registry.uploads.commit(NAME, upload.id, whole, body(b"678"), start=5)


@pytest.mark.parametrize("content", [SMALL_BLOB, LARGE_BLOB], ids=len)
async def test_a_cut_connection_keeps_what_came(registry: Registry, content: bytes) -> None:
    """After a PATCH and a PUT that broke off the upload goes on where each stopped."""
    one, two = len(content) // 3, len(content) * 2 // 3
    upload = registry.uploads.start(NAME)
    with pytest.raises(Cut):
        await registry.uploads.append(NAME, upload.id, body(content[:one], cut=True), start=0)
    assert (await registry.uploads.status(NAME, upload.id)).received == one
    digest = Digest.of(content)
    with pytest.raises(Cut):
        await registry.uploads.commit(NAME, upload.id, digest, body(content[one:two], cut=True), start=one)
    assert (await registry.uploads.status(NAME, upload.id)).received == two
    await registry.uploads.commit(NAME, upload.id, digest, body(content[two:]), start=two)
    assert await pull(registry, NAME, digest) == content


@pytest.mark.parametrize("content", [SMALL_BLOB, LARGE_BLOB], ids=len)
async def test_a_push_that_breaks_leaves_nothing(
    registry: Registry, storage: Directory, content: bytes
) -> None:
    """One request, cut off or with another digest: no key and no multipart remains."""
    with pytest.raises(Cut):
        await registry.uploads.push(NAME, Digest.of(content), body(content, cut=True), "me")
    with pytest.raises(DigestInvalid):
        await registry.uploads.push(NAME, Digest.of(b"other"), body(content), "me")
    assert await keys(storage) == set()


@pytest.mark.parametrize("content", [SMALL_BLOB, LARGE_BLOB], ids=len)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_a_wrong_digest_ends_the_upload(
    replica: Callable[..., Registry], storage: Directory, content: bytes, algorithm: str
) -> None:
    """Also where only reading all again tells; what that leaves goes with the collection."""
    registry = replica()
    upload = registry.uploads.start(NAME)
    upload = await registry.uploads.append(NAME, upload.id, body(content))
    wrong = Digest.of(b"other", algorithm)
    with pytest.raises(DigestInvalid):
        await replica().uploads.commit(NAME, upload.id, wrong)
    with pytest.raises(BlobUploadUnknown):
        await registry.uploads.status(NAME, upload.id)
    with pytest.raises(BlobUploadUnknown):
        await registry.uploads.commit(NAME, upload.id, Digest.of(content))
    with pytest.raises(BlobUnknown):
        await registry.blobs.stat(NAME, wrong)
    if algorithm == "sha512" and content is LARGE_BLOB:
        assert await later(registry) == 1
    assert await keys(storage) == set()


async def test_lengths_are_kept(registry: Registry) -> None:
    """More bytes than announced are refused and dropped; fewer are refused and kept."""
    upload = registry.uploads.start(NAME)
    with pytest.raises(SizeInvalid):
        await registry.uploads.append(NAME, upload.id, body(b"123456"), start=0, length=5)
    assert (await registry.uploads.status(NAME, upload.id)).received == 0
    with pytest.raises(SizeInvalid):
        await registry.uploads.append(NAME, upload.id, body(b"1234"), start=0, length=5)
    assert (await registry.uploads.status(NAME, upload.id)).received == 4


@pytest.mark.parametrize("size", [1000, SMALL + 1, 12 * 1024 * 1024])
async def test_of_two_patches_at_once_one_goes_through(replica: Callable[..., Registry], size: int) -> None:
    """Both begin before either ends: one loses with a range error, and not a byte of it is kept."""
    base, one, two = os.urandom(3_000_000), os.urandom(size), os.urandom(size)
    upload = replica().uploads.start(NAME)
    await replica().uploads.append(NAME, upload.id, body(base))
    results = await asyncio.gather(
        replica().uploads.append(NAME, upload.id, body(one), start=len(base)),
        replica().uploads.append(NAME, upload.id, body(two), start=len(base)),
        return_exceptions=True,
    )
    lost = [result for result in results if isinstance(result, BaseException)]
    assert len(lost) == 1
    assert isinstance(lost[0], RangeNotSatisfiable)
    won = base + (two if isinstance(results[0], BaseException) else one)
    await replica().uploads.commit(NAME, upload.id, Digest.of(won))
    assert await pull(replica(), NAME, Digest.of(won)) == won


async def test_a_request_that_was_given_up_does_no_harm(
    storage: Directory, replica: Callable[..., Registry]
) -> None:
    """A PATCH hangs with a part in flight, the client comes back elsewhere, then the part arrives."""
    release, hanging = asyncio.Event(), asyncio.Event()

    async def hang(operation: str, _key: str) -> None:
        if operation == "write":
            hanging.set()
            await release.wait()

    upload = replica().uploads.start(NAME)
    late = asyncio.ensure_future(
        replica(Interposed(storage, hang)).uploads.append(NAME, upload.id, body(os.urandom(9_000_000)))
    )
    await hanging.wait()
    await replica().uploads.append(NAME, upload.id, body(LARGE_BLOB), start=0)
    release.set()
    with pytest.raises(RangeNotSatisfiable):
        await late
    await replica().uploads.commit(NAME, upload.id, Digest.of(LARGE_BLOB))
    assert await pull(replica(), NAME, Digest.of(LARGE_BLOB)) == LARGE_BLOB


@pytest.mark.parametrize("content", [SMALL_BLOB, LARGE_BLOB], ids=len)
async def test_a_commit_may_be_repeated(replica: Callable[..., Registry], content: bytes) -> None:
    """After its answer, and while the first one still runs: every one succeeds or asks to come again."""
    digest = Digest.of(content)
    upload = replica().uploads.start(NAME)
    await replica().uploads.append(NAME, upload.id, body(content))
    results = await asyncio.gather(
        *(replica().uploads.commit(NAME, upload.id, digest) for _ in range(3)), return_exceptions=True
    )
    assert any(not isinstance(result, BaseException) for result in results)
    for result in results:
        assert not isinstance(result, BaseException) or isinstance(result, RegistryError), result
    assert (await replica().uploads.commit(NAME, upload.id, digest)).digest == digest
    assert await pull(replica(), NAME, digest) == content


@pytest.mark.parametrize("content", [SMALL_BLOB, LARGE_BLOB], ids=len)
async def test_two_clients_push_the_same_blob(
    replica: Callable[..., Registry], storage: Directory, content: bytes
) -> None:
    """Both succeed, in two repositories, and the data lies there once."""
    other, digest = RepositoryName("team/other"), Digest.of(content)
    await asyncio.gather(
        replica().uploads.push(NAME, digest, body(content), "one"),
        replica().uploads.push(other, digest, body(content), "two"),
    )
    assert await pull(replica(), NAME, digest) == await pull(replica(), other, digest) == content
    assert len((await storage.list("data/")).entries) == 1
    assert (await storage.list("uploads/")).entries == ()


async def test_the_data_that_lost_goes_before_its_session(
    storage: Directory, replica: Callable[..., Registry]
) -> None:
    """The second push of a blob breaks while it cleans up: what is left is still named, and collected."""
    digest = Digest.of(SMALL_BLOB)
    await replica().uploads.push(NAME, digest, body(SMALL_BLOB), "one")

    class Partly(Interposed):
        async def delete(self, keys: Sequence[str]) -> None:
            """Of a batch that holds data, only the rest is deleted; then the storage says so."""
            await self.storage.delete([key for key in keys if not key.startswith("data/")])
            if any(key.startswith("data/") for key in keys):
                raise StorageUnavailable("one of them failed")

    with pytest.raises(StorageUnavailable):
        await replica(Partly(storage)).uploads.push(NAME, digest, body(SMALL_BLOB), "two")
    assert len((await storage.list("data/")).entries) == 2
    assert await later(replica()) == 1
    assert len((await storage.list("data/")).entries) == 1
    assert await pull(replica(), NAME, digest) == SMALL_BLOB


async def test_no_part_arrives_after_the_abort(storage: Directory, replica: Callable[..., Registry]) -> None:
    """A push breaks while a part is in flight: first the part ends, then the multipart goes."""
    steps: list[str] = []

    async def slow(operation: str, _key: str) -> None:
        if operation == "write":
            await asyncio.sleep(0.05)
        steps.append(operation)

    pushing = replica(Interposed(storage, after=slow))
    with pytest.raises(Cut):
        await pushing.uploads.push(NAME, Digest.of(LARGE_BLOB), body(LARGE_BLOB, cut=True), "me")
    assert steps.count("write") == 2
    assert steps.index("abort") > max(at for at, step in enumerate(steps) if step == "write")


@pytest.mark.parametrize("content", [SMALL_BLOB, LARGE_BLOB], ids=len)
@pytest.mark.parametrize("effect", ["lost", "done"])
async def test_a_replica_may_be_killed_at_every_call(
    replica: Callable[..., Registry], storage: Directory, content: bytes, effect: str
) -> None:
    """POST, PATCH, PUT, the n-th call to the storage kills, with its effect done or not; others go on.

    In the end the blob is there, and after the collection nothing is but the blob.
    """
    digest = Digest.of(content)
    for fatal in range(1, 100):
        calls = 0

        async def kill(operation: str, key: str) -> None:
            nonlocal calls
            calls += 1
            if calls == fatal:  # noqa: B023 - called in this round only
                raise Killed(f"{operation} {key}")

        mortal = Interposed(storage, kill) if effect == "lost" else Interposed(storage, after=kill)
        name = RepositoryName(f"team/app{fatal}")
        survived = await _push_in_steps(replica(mortal), replica(), name, content)
        assert await pull(replica(), name, digest) == content
        await later(replica())
        left = await keys(storage)
        assert len([key for key in left if key.startswith("data/")]) == 1, left
        assert not [key for key in left if key.startswith(("uploads/", "unfinished"))], left
        assert await pull(replica(), name, digest) == content
        if survived:
            break
        await storage.delete([key for key in left if not key.startswith("unfinished")])
    else:
        raise AssertionError("a push takes fewer calls")


async def _push_in_steps(mortal: Registry, safe: Registry, name: RepositoryName, content: bytes) -> bool:
    """Pushes through `mortal`, and goes on with `safe` as a client does; whether `mortal` survived."""
    digest = Digest.of(content)
    try:
        upload = mortal.uploads.start(name)
    except Killed:
        await safe.uploads.push(name, digest, body(content), "me")
        return False
    try:
        await mortal.uploads.append(name, upload.id, body(content), start=0)
        await mortal.uploads.commit(name, upload.id, digest)
    except Killed:
        try:
            received = (await safe.uploads.status(name, upload.id)).received
            await safe.uploads.commit(name, upload.id, digest, body(content[received:]), start=received)
        except (BlobUploadUnknown, BlobUploadInvalid):
            await safe.uploads.push(name, digest, body(content), "me")
        return False
    return True


@pytest.mark.parametrize("content", [SMALL_BLOB, LARGE_BLOB], ids=len)
async def test_the_collection_never_takes_what_is_served(
    replica: Callable[..., Registry], storage: Directory, content: bytes
) -> None:
    """A commit is killed after the n-th effect and nobody comes back: what has a pointer keeps its data."""
    digest, served = Digest.of(content), 0
    for fatal in range(1, 100):
        calls = 0

        async def kill(operation: str, _key: str) -> None:
            nonlocal calls
            calls += operation in {"put", "write", "complete", "delete"}
            if calls == fatal:  # noqa: B023 - called in this round only
                raise Killed

        upload = replica().uploads.start(NAME)
        await replica().uploads.append(NAME, upload.id, body(content))
        try:
            await replica(Interposed(storage, after=kill)).uploads.commit(NAME, upload.id, digest)
        except Killed:
            survived = False
        else:
            survived = True
        await later(replica())
        pointed = bool((await storage.list("blobs/")).entries)
        assert len((await storage.list("data/")).entries) == pointed
        assert not [key for key in await keys(storage) if key.startswith(("uploads/", "unfinished"))]
        if pointed:
            served += 1
            await replica().uploads.push(NAME, digest, body(content), "me")
            assert await pull(replica(), NAME, digest) == content
        if survived:
            break
        await storage.delete([*await keys(storage)])
    assert served >= 3


async def test_sessions_are_their_repository_s_own(registry: Registry, storage: Directory) -> None:
    """Another repository, an unknown uuid and what is no uuid find nothing."""
    upload = await registry.uploads.append(NAME, registry.uploads.start(NAME).id, body(b"begun"))
    for name, uuid in (
        (RepositoryName("team/other"), upload.id),
        (NAME, "00000000-0000-4000-8000-000000000000"),
        (NAME, "../roadstead.json"),
        (NAME, ""),
    ):
        with pytest.raises(BlobUploadUnknown):
            await registry.uploads.status(name, uuid)
        with pytest.raises(BlobUploadUnknown):
            await registry.uploads.append(name, uuid, body(b"x"))
        with pytest.raises(BlobUploadUnknown):
            await registry.uploads.cancel(name, uuid)
    await registry.uploads.cancel(NAME, upload.id)
    with pytest.raises(BlobUploadUnknown):
        await registry.uploads.status(NAME, upload.id)
    assert await keys(storage) == set()


async def test_what_is_cancelled_before_its_first_byte_does_not_begin(
    registry: Registry, storage: Directory
) -> None:
    """It is unknown to every verb; what is noted of it goes with the collection."""
    upload = registry.uploads.start(NAME)
    assert await keys(storage) == set()
    await registry.uploads.cancel(NAME, upload.id)
    for verb in (
        registry.uploads.status(NAME, upload.id),
        registry.uploads.append(NAME, upload.id, body(b"x")),
        registry.uploads.append(NAME, upload.id, body(SMALL_BLOB)),
        registry.uploads.commit(NAME, upload.id, Digest.of(SMALL_BLOB), body(SMALL_BLOB)),
        registry.uploads.cancel(NAME, upload.id),
    ):
        with pytest.raises(BlobUploadUnknown):
            await verb
    assert await later(registry) == 1
    assert await keys(storage) == set()


async def test_what_is_cancelled_while_its_first_bytes_come_is_gone(
    replica: Callable[..., Registry], storage: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another replica was faster by a moment."""
    registry, other = replica(), replica()
    upload = registry.uploads.start(NAME)
    fail = registry.uploads._sessions.fail

    async def late(held: Held) -> None:
        monkeypatch.undo()
        begun = await other.uploads.append(NAME, upload.id, body(LARGE_BLOB))
        assert begun.received == len(LARGE_BLOB)
        await fail(held)

    before = await keys(storage)
    monkeypatch.setattr(registry.uploads._sessions, "fail", late)
    await registry.uploads.cancel(NAME, upload.id)
    assert await keys(storage) == before


@pytest.mark.parametrize("content", [b"x", SMALL_BLOB, LARGE_BLOB], ids=len)
async def test_an_id_that_is_used_again_harms_nobody(
    replica: Callable[..., Registry], content: bytes
) -> None:
    """A client goes on with the id of what became a blob: that is another upload, with other data."""
    first = replica().uploads.start(NAME)
    await replica().uploads.commit(NAME, first.id, Digest.of(content), body(content))
    other = content + b"other"
    with pytest.raises(DigestInvalid):
        await replica().uploads.commit(NAME, first.id, Digest.of(b"else"), body(other))
    await replica().uploads.append(NAME, first.id, body(other))
    await replica().uploads.commit(NAME, first.id, Digest.of(other))
    await later(replica())
    assert await pull(replica(), NAME, Digest.of(content)) == content
    assert await pull(replica(), NAME, Digest.of(other)) == other


async def test_nobody_s_uploads_are_collected(registry: Registry, storage: Directory) -> None:
    """Sessions and multiparts go after their time, and not before."""
    small, large = [registry.uploads.start(NAME) for _ in range(2)]
    await registry.uploads.append(NAME, small.id, body(SMALL_BLOB))
    await registry.uploads.append(NAME, large.id, body(LARGE_BLOB))
    await storage.begin("data/forgotten")
    assert await registry.uploads.stale.run(datetime.now(UTC) + timedelta(hours=23)) == 0
    assert (await registry.uploads.status(NAME, large.id)).received == len(LARGE_BLOB)
    assert await later(registry) == 3
    assert await keys(storage) == set()


async def test_a_body_in_one_piece_or_in_crumbs_is_the_same(registry: Registry) -> None:
    """How the connection cuts the body does not matter."""
    content = os.urandom(9_000_001)
    for size in (len(content), 1_000_003, 777):
        name = RepositoryName(f"pieces/of{size}")
        await registry.uploads.push(name, Digest.of(content), body(content, size), "me")
        assert await pull(registry, name, Digest.of(content)) == content


def test_parts_grow_as_far_as_memory_allows() -> None:
    """Ten thousand hold more than 800 GiB, and the largest has room."""
    assert part_size(1) == 8 * 1024 * 1024
    assert part_size(GROWTH) == part_size(1) < part_size(GROWTH + 1)
    assert sum(part_size(number) for number in range(1, PARTS + 1)) > 800 * 1024**3
    assert part_size(PARTS) < PARTS_MEMORY


async def test_no_part_has_a_number_that_a_storage_refuses(registry: Registry, storage: Directory) -> None:
    """Whoever has used up all 10,000, by trying again and again, is told so, and may still cancel."""
    upload = registry.uploads.start(NAME)
    sessions = registry.uploads._sessions
    held = await sessions.load(NAME, upload.id)
    await sessions.save(replace(held.session, next_part=PARTS - CLAIM + 2), held.version)
    with pytest.raises(SizeInvalid, match="begin anew"):
        await registry.uploads.append(NAME, upload.id, body(bytes(part_size(PARTS)), 1024 * 1024))
    await registry.uploads.cancel(NAME, upload.id)
    assert await keys(storage) == set()


async def test_parts_of_many_uploads_wait_for_each_other(
    replica: Callable[..., Registry], storage: Directory
) -> None:
    """However many push at once: the parts in memory have a bound, and every push gets through."""
    flying = most = 0
    all_parts = PARTS_MEMORY // PART

    async def up(operation: str, _key: str) -> None:
        nonlocal flying, most
        if operation == "write":
            flying += 1
            most = max(most, flying)
            await asyncio.sleep(0.05)

    async def down(operation: str, _key: str) -> None:
        nonlocal flying
        flying -= operation == "write"

    pushing = replica(Interposed(storage, up, down))
    content = bytes(9_000_000)
    digest = Digest.of(content)
    names = [RepositoryName(f"team/app-{number}") for number in range(all_parts + 8)]
    await asyncio.gather(*(pushing.uploads.push(name, digest, body(content), "me") for name in names))
    assert all_parts // 2 < most <= all_parts
    assert (await pushing.blobs.stat(names[-1], digest)).size == len(content)
