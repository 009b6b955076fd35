"""What was met lately, manifests and blobs: fewer reads, bounded memory, and nothing served that is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.descriptor import Descriptor
from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.errors import ManifestBlobUnknown, ManifestUnknown
from registry_runtime.repository.recent import Fresh, RecentBlobs, RecentManifests
from registry_runtime.repository.values import StoredManifest
from registry_runtime.storage import paths
from tests.images import image, push_blobs
from tests.unit.registry_runtime.repository.interposed import Interposed

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry_runtime.encryption.vault import Vault
    from registry_runtime.repository import Registry
    from registry_runtime.storage.directory import Directory
    from registry_runtime.storage.records import Records

NAME, V1 = RepositoryName("team/app"), Tag("v1")


async def test_a_pull_by_tag_reads_the_tag_only(storage: Directory, replica: Callable[..., Registry]) -> None:
    """One read each time, and it sees at once what another replica does."""
    reads: list[str] = []

    async def note(_operation: str, key: str) -> None:
        reads.append(key)

    one, two = image(annotations={"n": "1"}), image(annotations={"n": "2"})
    await push_blobs(replica(), NAME, b"{}")
    await replica().manifests.put(NAME, V1, OCI_IMAGE, one)
    reader = replica(Interposed(storage, note))
    assert (await reader.manifests.get(NAME, V1)).content == one
    reads.clear()
    assert (await reader.manifests.get(NAME, V1)).content == one
    assert reads == [paths.tag(NAME, V1)]
    await replica().manifests.put(NAME, V1, OCI_IMAGE, two)
    assert (await reader.manifests.get(NAME, V1)).content == two
    await replica().manifests.delete(NAME, Digest.of(one))
    with pytest.raises(ManifestUnknown):
        await reader.manifests.get(NAME, Digest.of(one))
    await replica().manifests.delete(NAME, Digest.of(two))
    with pytest.raises(ManifestUnknown):
        await reader.manifests.get(NAME, V1)


async def test_a_pull_by_digest_looks_whether_it_is_there(
    storage: Directory, replica: Callable[..., Registry], vault: Vault | None
) -> None:
    """What was read before is served for as long as it is there; what is sealed, only if it can be opened."""
    asked: list[str] = []

    async def note(operation: str, _key: str) -> None:
        asked.append(operation)

    content = image()
    digest = Digest.of(content)
    await push_blobs(replica(), NAME, b"{}")
    await replica().manifests.put(NAME, digest, OCI_IMAGE, content)
    reader = replica(Interposed(storage, note))
    first = await reader.manifests.get(NAME, digest)
    asked.clear()
    assert await reader.manifests.get(NAME, digest) == first
    assert asked == ["size" if vault is None else "get"]
    await replica().manifests.delete(NAME, digest)
    with pytest.raises(ManifestUnknown):
        await reader.manifests.get(NAME, digest)


def test_memory_is_bounded() -> None:
    """Large ones are not kept, and the oldest go first."""
    recent = RecentManifests()
    stored = [_stored(bytes([number]) * 200_000) for number in range(50)]
    for one in stored:
        recent.keep(NAME, one)
        recent.keep(NAME, one)
    kept = [one for one in stored if recent.get(NAME, one.descriptor.digest)]
    assert kept == stored[-len(kept) :]
    assert 7 * 1024 * 1024 < sum(len(one.content) for one in kept) <= 8 * 1024 * 1024
    large = _stored(bytes(300_000))
    recent.keep(NAME, large)
    assert recent.get(NAME, large.descriptor.digest) is None
    recent.forget(NAME, kept[0].descriptor.digest)
    assert recent.get(NAME, kept[0].descriptor.digest) is None


def _stored(content: bytes) -> StoredManifest:
    return StoredManifest(Descriptor(OCI_IMAGE, Digest.of(content), len(content)), content)


class Seen:
    """A registry's requests to the storage since a manifest's push began, as operations and keys."""

    def __init__(self, storage: Directory, replica: Callable[..., Registry]) -> None:
        self.steps: list[tuple[str, str]] = []
        self.now = 0.0  # seconds
        self.registry = replica(Interposed(storage, self._note), lambda: self.now)

    async def _note(self, operation: str, key: str) -> None:
        self.steps.append((operation, key))

    async def push(self, name: RepositoryName, content: bytes) -> None:
        self.steps.clear()
        await self.registry.manifests.put(name, Digest.of(content), OCI_IMAGE, content)

    def looks(self, key: str, written: str) -> tuple[int, int]:
        """How often the key was read before and after the other one was written."""
        place = self.steps.index(("put", written))
        before, after = self.steps[:place], self.steps[place:]
        return before.count(("get", key)), after.count(("get", key))

    @property
    def wrote(self) -> bool:
        return any(operation == "put" for operation, _ in self.steps)


async def test_blobs_that_were_met_are_looked_for_once(
    storage: Directory, replica: Callable[..., Registry], records: Records
) -> None:
    """Before the manifest is written, what was pushed here is believed; behind it everything is looked at."""
    seen, tree = Seen(storage, replica), records.tree
    known, strange, content = b"a layer", b"a layer by another replica", image(b"a layer")
    await push_blobs(seen.registry, NAME, known, b"{}")
    seen.now += 61
    await seen.push(NAME, content)
    manifest = tree.manifest(NAME, Digest.of(content))
    assert seen.looks(tree.link(NAME, Digest.of(known)), manifest) == (0, 1)
    assert seen.looks(tree.pointer(Digest.of(known)), manifest) == (0, 1)
    await push_blobs(replica(), NAME, strange)
    for believed, content in enumerate((image(strange), image(known, strange))):
        await seen.push(NAME, content)
        manifest = tree.manifest(NAME, Digest.of(content))
        assert seen.looks(tree.link(NAME, Digest.of(strange)), manifest) == (1 - believed, 1)


async def test_blobs_that_are_gone_are_not_believed_in(
    storage: Directory, replica: Callable[..., Registry]
) -> None:
    """Met elsewhere only, deleted here: nothing is written. Deleted by another replica: taken back."""
    seen = Seen(storage, replica)
    content = image(b"a layer")
    await push_blobs(seen.registry, NAME, b"{}")
    await push_blobs(seen.registry, RepositoryName("other"), b"a layer")
    with pytest.raises(ManifestBlobUnknown):
        await seen.push(NAME, content)
    assert not seen.wrote
    await push_blobs(seen.registry, NAME, b"a layer")
    await seen.registry.blobs.delete(NAME, Digest.of(b"a layer"))
    with pytest.raises(ManifestBlobUnknown):
        await seen.push(NAME, content)
    assert not seen.wrote
    await push_blobs(seen.registry, NAME, b"a layer")
    await replica().blobs.delete(NAME, Digest.of(b"a layer"))
    for believed in (True, False):
        with pytest.raises(ManifestBlobUnknown):
            await seen.push(NAME, content)
        assert seen.wrote is believed
        with pytest.raises(ManifestUnknown):
            await replica().manifests.get(NAME, Digest.of(content))


def test_so_many_blobs_are_remembered() -> None:
    """Of more than that the first ones go."""
    recent = RecentBlobs()
    digests = [Digest.of(b"%d" % number) for number in range(8200)]
    for digest in digests:
        recent.meet(NAME, digest)
    assert [(NAME, digest) in recent for digest in digests] == [False] * 8 + [True] * 8192
    recent.forget(NAME, digests[-1])
    assert (NAME, digests[-1]) not in recent


async def test_what_was_live_a_moment_ago_is_not_looked_at_again(
    storage: Directory, replica: Callable[..., Registry], records: Records
) -> None:
    """For a minute a pointer and an index of the catalog are relied on; the link may go at any moment."""
    seen, tree, layer = Seen(storage, replica), records.tree, b"a layer"
    await push_blobs(seen.registry, NAME, layer, b"{}")
    for after, looks in ((0, 0), (59, 0), (1, 1), (59, 0), (1, 1)):
        seen.now += after
        content = image(layer, annotations={"at": str(seen.now)})
        await seen.push(NAME, content)
        manifest = tree.manifest(NAME, Digest.of(content))
        assert seen.looks(tree.link(NAME, Digest.of(layer)), manifest) == (0, 1)
        assert seen.looks(tree.pointer(Digest.of(layer)), manifest) == (0, looks)
        assert seen.steps.count(("put", paths.catalog(NAME))) == (1 if seen.now in {0, 60, 120} else 0)
    await replica().blobs.delete(NAME, Digest.of(layer))
    with pytest.raises(ManifestBlobUnknown):
        await seen.push(NAME, image(layer, annotations={"behind": "a delete elsewhere"}))


def test_what_is_fresh_is_a_part_of_the_grace_at_the_most() -> None:
    """Never a minute where the grace is short, nothing where there is none, and bounded in number."""
    now = [100.0]
    for grace, life in ((86400, 60), (40, 10), (0, 0)):
        fresh = Fresh(grace, lambda: now[0])
        fresh.meet("a", now[0])
        assert ("a" in fresh) == (life > 0)
        now[0] += life
        assert "a" not in fresh
    fresh = Fresh(86400, lambda: now[0])
    for number in range(10_000):
        fresh.meet(str(number), now[0])
    assert "0" not in fresh
    assert "9999" in fresh
