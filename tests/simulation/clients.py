"""Clients: they push, mount, tag and delete, ask any replica each time, and nap between their requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from registry_runtime.content import manifest as rules
from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE, OCI_INDEX
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.errors import (
    BlobUnknown,
    ManifestBlobUnknown,
    ManifestUnknown,
    RegistryError,
    StorageUnavailable,
)
from registry_runtime.repository import Registry
from tests.images import body, descriptor, image, index
from tests.simulation.scheduler import Actor, Killed

if TYPE_CHECKING:
    from tests.simulation.world import World

Answer = TypeVar("Answer")
Item = TypeVar("Item")
Verb = Callable[[Actor], Coroutine[Any, Any, None]]

NAMES = ["a", "a/b"]  # one is below the other in the tree of keys
BLOBS = [f"blob {number} ".encode() * (1 + 15 * number) for number in range(3)]  # up to some 250 bytes
CONFIG = b"{}"
IMAGES = [image(*layers, config=CONFIG) for layers in (BLOBS[:1], BLOBS[:2], BLOBS[1:])]
SIGNATURES = [
    image(BLOBS[0], config=CONFIG, subject=descriptor(one, OCI_IMAGE).to_json()) for one in IMAGES[:2]
]
INDEXES = [index(*IMAGES[first : first + 2]) for first in range(len(IMAGES) - 1)]
KNOWN = {
    str(Digest.of(content)): rules.parse(media_type, content)
    for media_type, contents in ((OCI_IMAGE, [*IMAGES, *SIGNATURES]), (OCI_INDEX, INDEXES))
    for content in contents
}
TAGS = ["v1", "v2"]
CONTENT = {str(Digest.of(blob)): blob for blob in (*BLOBS, CONFIG)}


class Clients:
    """What clients do in a world. What was acknowledged to them is told to its oracle."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._oracle = world.oracle
        self.verbs: list[tuple[str, Verb]] = [
            ("push", self._push_image),
            ("push", self._push_image),
            ("index", self._push_index),
            ("sign", self._sign),
            ("mount", self._mount),
            ("push blob", self._push_blob),
            ("untag", self._delete_tag),
            ("delete", self._delete_manifest),
            ("delete", self._delete_manifest),
            ("delete", self._delete_manifest),
            ("delete blob", self._delete_blob),
        ]
        self.pushes = 6  # of them, the first ones

    def any(self, things: list[Item]) -> Item:
        return things[self._world.choose(len(things))]

    async def ask(self, actor: Actor, request: Callable[[Registry], Awaitable[Answer]]) -> Answer:
        """One request to one of the replicas; one that is killed answers no more."""
        actor.since = self._world.bucket.now
        try:
            return await request(self.any(self._world.replicas).registry)
        except Killed:
            raise StorageUnavailable("the replica is gone") from None
        finally:
            actor.since = None

    async def _nap(self, seldom: int = 6) -> None:
        if self._world.choose(seldom) == 0:
            await self._world.scheduler.nap()

    async def _push_image(self, actor: Actor) -> None:
        await self._push(actor, self.any(IMAGES), OCI_IMAGE, self.any([None, *TAGS]))

    async def _sign(self, actor: Actor) -> None:
        await self._push(actor, self.any(SIGNATURES), OCI_IMAGE, None)

    async def _push_index(self, actor: Actor) -> None:
        await self._push(actor, self.any(INDEXES), OCI_INDEX, self.any([None, *TAGS]))

    async def _push(self, actor: Actor, content: bytes, media_type: str, tag: str | None) -> None:
        """As a client does: blobs that are there are not sent again, but for a second try."""
        name, manifest = RepositoryName(self.any(NAMES)), rules.parse(media_type, content)
        for attempt in range(3):
            for blob in manifest.blobs:
                if attempt or not await self._has(actor, name, blob.digest):
                    await self._upload(actor, name, CONTENT[str(blob.digest)])
            await self._nap()
            if await self._put(actor, name, manifest, content, tag):
                return

    async def _put(
        self, actor: Actor, name: RepositoryName, manifest: rules.Manifest, content: bytes, tag: str | None
    ) -> bool:
        digest = Digest.of(content)
        reference = Tag(tag) if tag else digest
        moved = [("tag", name.text, tag)] if tag else []
        since = self._oracle.begin(*moved)
        if tag:
            self._oracle.tags.pop((name.text, tag), None)
        try:
            await self.ask(
                actor, lambda registry: registry.manifests.put(name, reference, manifest.media_type, content)
            )
            self._oracle.pushed(name.text, digest, manifest, tag, since)
        except ManifestBlobUnknown:
            return False
        except StorageUnavailable:
            self._oracle.doubt(self._world.bucket.now + self._world.grace, *moved)
            raise
        finally:
            self._oracle.end(*moved)
        return True

    async def _has(self, actor: Actor, name: RepositoryName, digest: Digest) -> bool:
        try:
            await self.ask(actor, lambda registry: registry.blobs.stat(name, digest))
        except BlobUnknown:
            return False
        return True

    async def _upload(self, actor: Actor, name: RepositoryName, content: bytes) -> None:
        if self._world.choose(2):
            await self.upload_in_parts(actor, name, content)
            return
        digest = Digest.of(content)
        await self._keeping(
            actor,
            name,
            digest,
            lambda registry: registry.uploads.push(name, digest, body(content, 50), "client"),
        )

    async def upload_in_parts(self, actor: Actor, name: RepositoryName, content: bytes) -> None:
        """A commit that fails is tried again, at once or another day."""
        digest, half = Digest.of(content), content[: len(content) // 2]
        id_ = self.any(self._world.replicas).registry.uploads.start(name).id
        id_ = (await self.ask(actor, lambda registry: registry.uploads.append(name, id_, body(half, 50)))).id

        async def commit(registry: Registry) -> bool:
            received = (await registry.uploads.status(name, id_)).received
            await registry.uploads.commit(name, id_, digest, body(content[received:], 50))
            return True

        for attempt in range(3):
            await self._nap(1 if attempt else 6)
            try:
                await self._keeping(actor, name, digest, commit)
            except RegistryError:
                continue
            return

    async def _keeping(
        self,
        actor: Actor,
        name: RepositoryName,
        digest: Digest,
        request: Callable[[Registry], Awaitable[object]],
    ) -> None:
        """What is acknowledged here waits for its manifest for two graces from now."""
        since, until = self._oracle.begin(), self._world.bucket.now + 2 * self._world.grace
        if await self.ask(actor, request):
            self._oracle.uploaded(name.text, str(digest), since, until)

    async def _push_blob(self, actor: Actor) -> None:
        await self._upload(actor, RepositoryName(self.any(NAMES)), self.any(BLOBS))

    async def _mount(self, actor: Actor) -> None:
        target, source = map(RepositoryName, self.any([NAMES, NAMES[::-1]]))
        digest = Digest.of(self.any(BLOBS))
        await self._keeping(
            actor, target, digest, lambda registry: registry.blobs.mount(target, digest, source)
        )

    async def _delete_tag(self, actor: Actor) -> None:
        name, tag = self.any(NAMES), self.any(TAGS)
        await self._touching(
            actor,
            [("tag", name, tag)],
            lambda: self._oracle.tags.pop((name, tag), None),
            lambda registry: registry.manifests.delete(RepositoryName(name), Tag(tag)),
        )

    async def _delete_manifest(self, actor: Actor) -> None:
        content = self.any([*IMAGES, *INDEXES, *SIGNATURES])
        await self.delete(actor, self.any(NAMES), Digest.of(content))

    async def delete(self, actor: Actor, name: str, digest: Digest) -> None:
        touched = self._oracle.deleting(name, str(digest))

        async def act(registry: Registry) -> None:
            found = True
            try:
                await registry.manifests.delete(RepositoryName(name), digest)
            except ManifestUnknown:
                found = False
                raise
            finally:
                if found:
                    self._oracle.deleted(name, str(digest), KNOWN)

        await self._touching(actor, touched, lambda: None, act)

    async def _delete_blob(self, actor: Actor) -> None:
        await self._delete_one(actor, self.any(NAMES), Digest.of(self.any(BLOBS)))

    async def delete_blobs(self, actor: Actor, name: str) -> None:
        """Those of a repository, one after the other."""
        for content in BLOBS:
            with suppress(BlobUnknown):
                await self._delete_one(actor, name, Digest.of(content))

    async def _delete_one(self, actor: Actor, name: str, digest: Digest) -> None:
        await self._touching(
            actor,
            [("blob", name, str(digest))],
            lambda: self._oracle.deleting_blob(name, str(digest)),
            lambda registry: registry.blobs.delete(RepositoryName(name), digest),
        )

    async def _touching(
        self,
        actor: Actor,
        things: list[tuple[str, ...]],
        forget: Callable[[], object],
        act: Callable[[Registry], Awaitable[object]],
    ) -> None:
        self._oracle.begin(*things)
        forget()
        try:
            await self.ask(actor, act)
        except StorageUnavailable:
            self._oracle.doubt(self._world.bucket.now + self._world.grace, *things)
            raise
        finally:
            self._oracle.end(*things)
