"""Manifests: checked against what they name, tagged, deleted, withdrawn."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import DOCKER_IMAGE, OCI_IMAGE, OCI_INDEX
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.contract.policy import Sparse
from registry_runtime.errors import (
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestTooLarge,
    ManifestUnknown,
    StorageError,
)
from registry_runtime.repository import manifests
from registry_runtime.repository.manifests import MEMORY, PARSED, Manifests
from registry_runtime.repository.pointers import Pointer, State
from registry_runtime.storage.base import Conflict
from registry_runtime.storage.records import Records
from tests.images import LAYER, descriptor, document, image, index, push_blobs
from tests.unit.registry_runtime.repository.interposed import Interposed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from registry_runtime.content.buffer import Buffer
    from registry_runtime.repository import Registry
    from registry_runtime.repository.values import Pushed
    from registry_runtime.storage.directory import Directory

NAME = RepositoryName("team/app")
V1, V2 = Tag("v1"), Tag("v2")
LAYERS = [os.urandom(100), os.urandom(200)]
IMAGE = image(*LAYERS)
DIGEST = Digest.of(IMAGE)


async def set_state(records: Records, digest: Digest, state: State) -> None:
    """What the collection will do to a blob."""
    seen = await records.read(records.tree.pointer(digest))
    assert seen.record
    pointer = replace(Pointer.decode(seen.record), state=state)
    await records.write(records.tree.pointer(digest), pointer.encode(), seen.version)


async def state_of(records: Records, digest: Digest) -> State:
    record = await records.get(records.tree.pointer(digest))
    assert record
    return Pointer.decode(record).state


async def test_a_manifest_comes_back_byte_for_byte(
    registry: Registry, replica: Callable[..., Registry]
) -> None:
    """By tag, by further tags and by digest, through another replica, with its media type."""
    await push_blobs(registry, NAME, b"{}", *LAYERS)
    pushed = await registry.manifests.put(NAME, V1, OCI_IMAGE, IMAGE, [V2])
    assert pushed.descriptor == replace(descriptor(IMAGE), media_type=OCI_IMAGE)
    assert pushed.subject is None
    for reference in (V1, V2, DIGEST):
        stored = await replica().manifests.get(NAME, reference)
        assert (stored.content, stored.descriptor) == (IMAGE, pushed.descriptor)
        assert await replica().manifests.stat(NAME, reference) == pushed.descriptor
    assert await registry.manifests.put(NAME, V1, OCI_IMAGE, IMAGE) == pushed


async def test_a_digest_may_be_of_another_algorithm(registry: Registry) -> None:
    """A push by sha512 is found by it; a digest of other bytes is refused."""
    await push_blobs(registry, NAME, b"{}", *LAYERS)
    digest = Digest.of(IMAGE, "sha512")
    await registry.manifests.put(NAME, digest, OCI_IMAGE, IMAGE, [V1])
    assert (await registry.manifests.get(NAME, V1)).descriptor.digest == digest
    with pytest.raises(DigestInvalid):
        await registry.manifests.put(NAME, Digest.of(b"other"), OCI_IMAGE, IMAGE)


async def test_blobs_must_be_in_the_repository(registry: Registry) -> None:
    """A manifest whose blob is missing, or only elsewhere, is refused, named and not visible."""
    await push_blobs(registry, NAME, b"{}", LAYERS[0])
    await push_blobs(registry, RepositoryName("team/other"), LAYERS[1])
    with pytest.raises(ManifestBlobUnknown) as refused:
        await registry.manifests.put(NAME, V1, OCI_IMAGE, IMAGE)
    assert refused.value.detail == [{"digest": str(Digest.of(LAYERS[1]))}]
    for reference in (V1, DIGEST):
        with pytest.raises(ManifestUnknown):
            await registry.manifests.get(NAME, reference)
    assert await registry.blobs.mount(NAME, Digest.of(LAYERS[1]), RepositoryName("team/other"))
    await registry.manifests.put(NAME, V1, OCI_IMAGE, IMAGE)


async def test_what_may_be_missing(registry: Registry) -> None:
    """Children of an index, a subject, and layers that lie elsewhere."""
    await registry.manifests.put(NAME, V1, OCI_INDEX, index(IMAGE))
    await push_blobs(registry, NAME, b"{}")
    subject = replace(descriptor(b"never pushed"), media_type=OCI_IMAGE)
    pushed = await registry.manifests.put(NAME, V2, OCI_IMAGE, image(subject=subject.to_json()))
    assert pushed.subject == subject
    foreign = descriptor(b"elsewhere", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
    elsewhere = replace(descriptor(b"at a url"), urls=("https://example.com/layer",))
    content = document(
        DOCKER_IMAGE,
        config=descriptor(b"{}", LAYER).to_json(),
        layers=[foreign.to_json(), elsewhere.to_json()],
    )
    await registry.manifests.put(NAME, V1, DOCKER_IMAGE, content)


async def test_an_index_may_have_to_be_complete(registry: Registry) -> None:
    """Then every manifest that it names must be there, or every blob, as in the caches of builders."""
    complete = Sparse(indexes=False)
    cache = document(OCI_INDEX, manifests=[descriptor(b"a layer").to_json()])
    nested = index(index(IMAGE))
    for content, lacks in ((index(IMAGE), IMAGE), (cache, b"a layer"), (nested, index(IMAGE))):
        with pytest.raises(ManifestBlobUnknown) as refused:
            await registry.manifests.put(NAME, V1, OCI_INDEX, content, sparse=complete)
        assert refused.value.detail == [{"digest": str(Digest.of(lacks))}]
        with pytest.raises(ManifestUnknown):
            await registry.manifests.get(NAME, V1)
    await push_blobs(registry, NAME, b"{}", b"a layer", *LAYERS)
    await registry.manifests.put(NAME, DIGEST, OCI_IMAGE, IMAGE)
    for content in (index(IMAGE), cache, nested, index()):
        await registry.manifests.put(NAME, V1, OCI_INDEX, content, sparse=complete)
        assert (await registry.manifests.get(NAME, V1)).content == content


async def test_an_index_is_withdrawn_when_its_image_goes_meanwhile(
    records: Records, storage: Directory, replica: Callable[..., Registry]
) -> None:
    """The image is deleted after it was looked for, and before the index lies there."""
    other = replica()
    await push_blobs(other, NAME, b"{}", *LAYERS)
    await other.manifests.put(NAME, DIGEST, OCI_IMAGE, IMAGE)
    key = records.tree.manifest(NAME, Digest.of(index(IMAGE)))

    async def delete(operation: str, at: str) -> None:
        if (operation, at) == ("put", key):
            with suppress(ManifestUnknown):
                await other.manifests.delete(NAME, DIGEST)

    with pytest.raises(ManifestBlobUnknown):
        await replica(Interposed(storage, before=delete)).manifests.put(
            NAME, V1, OCI_INDEX, index(IMAGE), sparse=Sparse(indexes=False)
        )
    for reference in (V1, Digest.of(index(IMAGE))):
        with pytest.raises(ManifestUnknown):
            await other.manifests.get(NAME, reference)


async def test_an_image_may_lack_blobs_where_that_is_allowed(
    records: Records, registry: Registry, replica: Callable[..., Registry]
) -> None:
    """What is hidden is revived all the same."""
    await push_blobs(registry, NAME, LAYERS[0])
    await set_state(records, Digest.of(LAYERS[0]), State.HIDDEN)
    await replica().manifests.put(NAME, V1, OCI_IMAGE, IMAGE, sparse=Sparse(images=True))
    assert (await registry.manifests.get(NAME, V1)).content == IMAGE
    assert await state_of(records, Digest.of(LAYERS[0])) is State.LIVE


async def test_bad_manifests_are_refused(registry: Registry) -> None:
    """Too large, and none at all."""
    with pytest.raises(ManifestTooLarge):
        await registry.manifests.put(NAME, V1, OCI_IMAGE, b" " * (5 * 1024 * 1024))
    with pytest.raises(ManifestInvalid):
        await registry.manifests.put(NAME, V1, OCI_IMAGE, b"{}")


@pytest.mark.parametrize(("parsed", "at_a_time"), [(PARSED, 3), (MEMORY, 1)], ids=["small", "large"])
async def test_manifests_are_parsed_as_memory_allows(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, parsed: int, at_a_time: int
) -> None:
    """Small ones side by side; where each takes all the memory that there is, one after the other."""
    names = [RepositoryName(f"{team}/app") for team in ("one", "two", "three")]
    for name in names:
        await push_blobs(registry, name, b"{}", *LAYERS)
    monkeypatch.setattr(manifests, "PARSED", parsed)
    running: list[int] = [0]
    pushed = Manifests._pushed

    async def counted(*words: Any, **more: Any) -> Pushed:
        running.append(running[-1] + 1)
        try:
            return await pushed(*words, **more)
        finally:
            running.append(running[-1] - 1)

    monkeypatch.setattr(Manifests, "_pushed", counted)
    await asyncio.gather(*(registry.manifests.put(name, V1, OCI_IMAGE, IMAGE) for name in names))
    assert max(running) == at_a_time


async def test_a_tag_moves_and_its_old_manifest_stays(registry: Registry) -> None:
    """The new push takes the tag; deleting the old manifest by digest leaves the tag alone."""
    await push_blobs(registry, NAME, b"{}", *LAYERS)
    await registry.manifests.put(NAME, V1, OCI_IMAGE, IMAGE)
    newer = image(LAYERS[0])
    await registry.manifests.put(NAME, V1, OCI_IMAGE, newer)
    assert (await registry.manifests.get(NAME, V1)).content == newer
    assert (await registry.manifests.get(NAME, DIGEST)).content == IMAGE
    await registry.manifests.delete(NAME, DIGEST)
    assert (await registry.manifests.get(NAME, V1)).content == newer


async def test_deleting_a_tag_keeps_the_manifest(registry: Registry) -> None:
    """The digest and other tags stay; the tag is gone at once, and can come again."""
    await push_blobs(registry, NAME, b"{}", *LAYERS)
    await registry.manifests.put(NAME, V1, OCI_IMAGE, IMAGE, [V2])
    await registry.manifests.delete(NAME, V1)
    with pytest.raises(ManifestUnknown):
        await registry.manifests.get(NAME, V1)
    with pytest.raises(ManifestUnknown):
        await registry.manifests.delete(NAME, V1)
    assert (await registry.manifests.get(NAME, V2)).content == IMAGE
    assert (await registry.tags.list(NAME, 10)).items == ("v2",)
    await registry.manifests.put(NAME, V1, OCI_IMAGE, IMAGE)
    assert (await registry.manifests.get(NAME, V1)).content == IMAGE


async def test_deleting_a_digest_takes_its_tags(registry: Registry, replica: Callable[..., Registry]) -> None:
    """All its tags and nothing else are gone, at every replica; then all can come again."""
    await push_blobs(registry, NAME, b"{}", *LAYERS)
    sibling = image(LAYERS[0])
    await registry.manifests.put(NAME, V1, OCI_IMAGE, IMAGE, [V2])
    await registry.manifests.put(NAME, Tag("other"), OCI_IMAGE, sibling)
    await registry.manifests.put(NAME, Tag("list"), OCI_INDEX, index(IMAGE, sibling))
    await registry.manifests.delete(NAME, DIGEST)
    for reference in (V1, V2, DIGEST):
        with pytest.raises(ManifestUnknown):
            await replica().manifests.get(NAME, reference)
    assert (await replica().tags.list(NAME, 10)).items == ("list", "other")
    with pytest.raises(ManifestUnknown):
        await registry.manifests.delete(NAME, DIGEST)
    await registry.manifests.put(NAME, V1, OCI_IMAGE, IMAGE)
    assert (await replica().manifests.get(NAME, V1)).content == IMAGE
    assert (await replica().tags.list(NAME, 10)).items == ("list", "other", "v1")


async def test_hidden_blobs_are_revived(
    records: Records, registry: Registry, storage: Directory, replica: Callable[..., Registry]
) -> None:
    """A manifest, a mount and a push that meet a hidden blob make it live; a reader just reads it."""
    digests = [Digest.of(layer) for layer in LAYERS]
    await push_blobs(registry, NAME, b"{}", *LAYERS)
    for digest in digests:
        await set_state(records, digest, State.HIDDEN)
        assert (await registry.blobs.stat(NAME, digest)).digest == digest
        assert await state_of(records, digest) is State.HIDDEN
    await replica().manifests.put(NAME, V1, OCI_IMAGE, IMAGE)
    assert [await state_of(records, digest) for digest in digests] == [State.LIVE, State.LIVE]
    await set_state(records, digests[0], State.HIDDEN)
    assert await registry.blobs.mount(RepositoryName("team/mounted"), digests[0], NAME)
    await set_state(records, digests[1], State.HIDDEN)
    await push_blobs(registry, RepositoryName("team/pushed"), LAYERS[1])
    assert [await state_of(records, digest) for digest in digests] == [State.LIVE, State.LIVE]
    assert len((await storage.list("data/")).entries) == 2  # the config lies in its pointer


async def test_a_blob_that_dies_meanwhile_withdraws_the_manifest(
    records: Records, storage: Directory, replica: Callable[..., Registry]
) -> None:
    """The check passed, and a day later a layer was collected: the push is refused, nothing is visible."""
    killed, now = Digest.of(LAYERS[1]), [0.0]

    async def collect(operation: str, key: str) -> None:
        if operation == "put" and key == records.tree.manifest(NAME, DIGEST) and not over.is_set():
            over.set()
            now[0] += 24 * 3600
            await set_state(records, killed, State.DEAD)

    over = asyncio.Event()
    registry = replica(Interposed(storage, collect), lambda: now[0])
    await push_blobs(registry, NAME, b"{}", *LAYERS)
    with pytest.raises(ManifestBlobUnknown) as refused:
        await registry.manifests.put(NAME, V1, OCI_IMAGE, IMAGE)
    assert refused.value.detail == [{"digest": str(killed)}]
    for reference in (V1, DIGEST):
        with pytest.raises(ManifestUnknown):
            await replica().manifests.get(NAME, reference)
    await push_blobs(registry, NAME, LAYERS[1])
    await registry.manifests.put(NAME, V1, OCI_IMAGE, IMAGE)
    assert (await replica().manifests.get(NAME, V1)).content == IMAGE


async def test_a_push_outlives_a_delete_at_the_same_time(
    storage: Directory, replica: Callable[..., Registry]
) -> None:
    """A delete steps in between any two calls of a push: once acknowledged, the digest is there."""
    await push_blobs(replica(), NAME, b"{}", *LAYERS)
    for step in range(1, 60):
        await replica().manifests.put(NAME, V2, OCI_IMAGE, IMAGE)
        calls = 0

        async def interfere(_operation: str, _key: str) -> None:
            nonlocal calls
            calls += 1
            if calls == step:  # noqa: B023 - called in this round only
                await replica().manifests.delete(NAME, DIGEST)

        await replica(Interposed(storage, interfere)).manifests.put(NAME, V1, OCI_IMAGE, IMAGE)
        if calls < step:
            break
        if calls > step:
            assert (await replica().manifests.get(NAME, DIGEST)).content == IMAGE
            assert (await replica().manifests.get(NAME, V1)).content == IMAGE
    else:
        raise AssertionError("a push takes fewer calls")


async def test_tags_raced_from_all_sides_name_one_manifest(replica: Callable[..., Registry]) -> None:
    """Eight pushers move one tag: it names one of theirs, and a delete of that digest takes it."""
    await push_blobs(replica(), NAME, b"{}", *LAYERS)
    images = [image(LAYERS[0], annotations={"n": str(number)}) for number in range(8)]
    results = await asyncio.gather(
        *(replica().manifests.put(NAME, V1, OCI_IMAGE, one) for one in images), return_exceptions=True
    )
    assert not [
        one for one in results if isinstance(one, BaseException) and not isinstance(one, StorageError)
    ]
    stored = await replica().manifests.get(NAME, V1)
    assert stored.content in images
    await replica().manifests.delete(NAME, stored.descriptor.digest)
    with pytest.raises(ManifestUnknown):
        await replica().manifests.get(NAME, V1)


async def test_an_index_that_is_stale_takes_no_tag(
    records: Records, registry: Registry, storage: Directory
) -> None:
    """The index of a tag outlives the tag: deleting the old digest leaves the tag that moved on."""
    await push_blobs(registry, NAME, b"{}", *LAYERS)
    await registry.manifests.put(NAME, V1, OCI_IMAGE, IMAGE)
    newer = image(LAYERS[0])
    await registry.manifests.put(NAME, V1, OCI_IMAGE, newer)
    assert len((await storage.list(records.tree.tagged(NAME, DIGEST))).entries) == 1
    await registry.manifests.delete(NAME, DIGEST)
    assert (await registry.manifests.get(NAME, V1)).content == newer


class ByContent(Interposed):
    """As a bucket: who meets the very bytes that it wanted to write is told that it wrote them."""

    async def put(
        self, key: str, content: Sequence[Buffer], *, absent: bool = False, match: str | None = None
    ) -> str:
        try:
            return await super().put(key, content, absent=absent, match=match)
        except Conflict:
            found = await self.storage.get(key)
            if found is None or found.content != b"".join(content):
                raise
            return found.etag


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_push_that_fails_takes_nobody_s_manifest(
    records: Records, storage: Directory, replica: Callable[..., Registry], moment: str
) -> None:
    """Another push of the same bytes, just before or after its write, was acknowledged: that one stays."""
    await push_blobs(replica(), NAME, b"{}", *LAYERS)
    done = asyncio.Event()

    async def interfere(operation: str, key: str) -> None:
        if operation == "put" and key == records.tree.manifest(NAME, DIGEST) and not done.is_set():
            done.set()
            await replica(ByContent(storage)).manifests.put(NAME, V2, OCI_IMAGE, IMAGE)
            await replica().blobs.delete(NAME, Digest.of(LAYERS[1]))

    steps = {moment: interfere}
    with pytest.raises(ManifestBlobUnknown):
        await replica(ByContent(storage, **steps)).manifests.put(NAME, V1, OCI_IMAGE, IMAGE)
    for reference in (V2, DIGEST):
        assert (await replica().manifests.get(NAME, reference)).content == IMAGE
    assert (await replica().tags.list(NAME, 10)).items == ("v2",)
