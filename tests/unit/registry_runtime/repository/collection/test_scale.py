"""A thousand manifests and three thousand blobs: what goes, and what it costs in requests."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.config import Limits
from registry_runtime.repository import Registry
from registry_runtime.repository.pointers import Pointer
from registry_runtime.storage import paths
from registry_runtime.storage.paths import Tree
from registry_runtime.storage.records import Record, Records
from tests.images import image
from tests.simulation.bucket import Bucket, Connection
from tests.simulation.scheduler import AtOnce

MANIFESTS, EACH = 1000, 3
TREE = Tree()


async def fill(records: Records, storage: Connection) -> None:
    """A tenth of the manifests is deleted: their blobs are nobody's."""
    for number in range(MANIFESTS):
        name = RepositoryName(f"team/app{number % 7}")
        blobs = [f"{number} {layer}".encode() for layer in range(EACH)]
        for blob in blobs:
            digest = Digest.of(blob)
            await storage.put(paths.data(digest.hex), [blob])
            await records.put(TREE.pointer(digest), Pointer.to(digest.hex, len(blob)).encode())
            await records.put(TREE.link(name, digest), Record({}))
            await records.note(TREE.placement(digest, name))
        if number % 10:
            content = image(*blobs[1:], config=blobs[0])
            digest = Digest.of(content)
            record = Record({"mediaType": OCI_IMAGE, "digest": str(digest)}, content)
            await records.put(TREE.manifest(name, digest), record)
        await records.note(paths.catalog(name))


async def test_a_thousand_keys_cost_one_list() -> None:
    """All that should go goes, placements in an audit; nothing else does; data is deleted by the batch."""
    calls, bucket = AtOnce(), Bucket(erases=True)
    storage = Connection(bucket, calls, None)
    await fill(Records(storage), storage)
    registry = Registry(storage, Limits(), lambda: datetime.now(UTC), "owner")
    for number in range(4):
        bucket.now += timedelta(days=2)
        keys = len(bucket.objects)
        calls.calls.clear()
        receipt = await registry.collection.run(audit=number == 3)
        assert receipt is not None
        assert receipt.done
        walks = 8  # each ends with a page that is not full
        assert calls.calls["list"] <= keys / 1000 + (walks + 5 if receipt.audit else walks)
        assert calls.calls["delete"] <= 20, "data and placements go by the page"
    left = Counter(key.partition("/")[0] for key, stored in bucket.objects.items() if stored.content)
    blobs = MANIFESTS * EACH * 9 // 10
    assert (left["data"], left["blobs"], left["placements"]) == (blobs, blobs, blobs)
    assert left["repositories"] == blobs + MANIFESTS * 9 // 10
