"""How many bytes an image has: of its manifest and all that it names, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_runtime.content import manifest as rules
from registry_runtime.content.manifest import MAX_DESCRIPTORS
from registry_runtime.errors import BlobUnknown, ManifestInvalid, ManifestUnknown
from registry_runtime.repository.parallel import each

if TYPE_CHECKING:
    from registry_runtime.content.descriptor import Descriptor
    from registry_runtime.content.digest import Digest
    from registry_runtime.content.manifest import Manifest
    from registry_runtime.content.name import RepositoryName
    from registry_runtime.repository.blobs import Blobs
    from registry_runtime.repository.manifests import Manifests


class Weight:
    """Weighs images of one repository.

    A descriptor may lie, of the size and of the type: what is in the repository counts as it is, and only
    what is not as its descriptor says.
    """

    def __init__(self, manifests: Manifests, blobs: Blobs, name: RepositoryName) -> None:
        self._manifests = manifests
        self._blobs = blobs
        self._name = name

    async def of(self, manifest: Manifest, size: int, most: int) -> int:
        """Bytes of an image whose manifest has `size` of them; behind `most` it looks no further.

        Raises ManifestInvalid where it is more than 10,000 things.
        """
        met_blobs: set[Digest] = set()
        met_children: set[Digest] = set()  # apart: the digest of a manifest may also be given to a layer
        waiting = [manifest]
        while waiting and size <= most:
            one = waiting.pop()
            blobs = {item.digest: item for item in one.blobs if item.digest not in met_blobs}
            children = {item.digest: item for item in one.manifests if item.digest not in met_children}
            met_blobs |= blobs.keys()
            met_children |= children.keys()
            if len(met_blobs) + len(met_children) > MAX_DESCRIPTORS:
                raise ManifestInvalid(f"an image of more than {MAX_DESCRIPTORS} things is not weighed")
            size += sum(await each(self._blob, blobs.values()))
            for weight, child in await each(self._child, children.values()):
                size += weight
                waiting += [child] if child is not None else []
        return size

    async def _blob(self, item: Descriptor) -> int:
        try:
            return (await self._blobs.stat(self._name, item.digest)).size
        except BlobUnknown:
            return item.size

    async def _child(self, item: Descriptor) -> tuple[int, Manifest | None]:
        """A manifest, or a blob, of which builders' caches are made."""
        try:
            stored = await self._manifests.get(self._name, item.digest)
        except ManifestUnknown:
            return await self._blob(item), None
        return len(stored.content), rules.parse(stored.descriptor.media_type, stored.content)
