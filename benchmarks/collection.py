"""`python -m benchmarks.collection`: collections of a large registry on the S3 server, and what they cost.

The server is versitygw on a folder, where an object is a file with its ETag in an attribute: so what the
registry is to hold is written there as files, in the runtime's own form, and not sent. Then every tenth
manifest is gone, and collections without a grace run until they have nothing left to do, each in a process of
its own.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.config import Collection, Limits, S3Storage
from registry_runtime.repository import Registry
from registry_runtime.repository.pointers import Pointer
from registry_runtime.storage import open_storage, paths
from registry_runtime.storage.base import Storage
from registry_runtime.storage.paths import Tree
from registry_runtime.storage.records import Record, Records
from tests.images import image
from tests.s3_server import s3_server

EACH = 3  # blobs of a manifest
GONE = 10  # one manifest in so many
REPOSITORIES = 100
PASSES = 8
SETTLE = 4.1  # seconds: without a grace, an index is old after so many
BUCKET = "collection"


class Counting:
    """A storage that counts what is asked of it, and the keys that lists name and deletes take."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def counted(*args: Any, **options: Any) -> Any:
            self.calls[name] += 1
            answer = await getattr(self._storage, name)(*args, **options)
            if name == "list":
                self.calls["keys listed"] += len(answer.entries)
            if name == "delete":
                self.calls["keys deleted"] += len(args[0])
            return answer

        return counted


class Files:
    """The storage that `Records` writes to: files below the folder of a bucket of versitygw."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: set[Path] = set()
        self.count = 0

    async def put(self, key: str, content: Any) -> None:
        path, whole = self._folder / key, b"".join(content)
        if path.parent not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(path.parent)
        path.write_bytes(whole)
        etag = hashlib.md5(whole, usedforsecurity=False).hexdigest()
        os.setxattr(path, "user.etag", f'"{etag}"'.encode())
        self.count += 1


async def fill(files: Files, manifests: int) -> None:
    """Every blob is its manifest's own; those of every tenth manifest are nobody's any more."""
    records, tree = Records(cast("Storage", files)), Tree()
    for number in range(manifests):
        name = RepositoryName(f"team{number % REPOSITORIES}/app")
        blobs = [f"{number} {layer}".encode() for layer in range(EACH)]
        for digest, blob in ((Digest.of(blob), blob) for blob in blobs):
            await files.put(paths.data(digest.hex), [blob])
            await records.put(tree.pointer(digest), Pointer.to(digest.hex, len(blob)).encode())
            await records.put(tree.link(name, digest), Record({}))
            await records.note(tree.placement(digest, name))
        if number % GONE:
            content = image(*blobs[1:], config=blobs[0])
            digest = Digest.of(content)
            record = Record({"mediaType": OCI_IMAGE, "digest": str(digest)}, content)
            await records.put(tree.manifest(name, digest), record)
        if number < REPOSITORIES:
            await records.note(paths.catalog(name))
    now = datetime.now(UTC).isoformat()
    await records.put(paths.COLLECTING, Record({"done": True, "audited": now}))  # the first would be an audit


async def once(settings: S3Storage, *, audit: bool) -> dict[str, Any]:
    """A collection: its receipt, what it asked of the storage, its CPU time and its greatest memory."""
    inner = await open_storage(settings)
    storage = Counting(inner)
    registry = Registry(
        cast("Storage", storage),
        Limits(),
        lambda: datetime.now(UTC),
        "owner",
        collecting=Collection(grace_seconds=0),
    )
    try:
        receipt = await registry.collection.run(audit=audit)
    finally:
        await inner.close()
    assert receipt is not None
    used = resource.getrusage(resource.RUSAGE_SELF)
    fields = {key: value for key, value in receipt.fields().items() if key != "listed"}
    return fields | {
        "requests": dict(storage.calls),
        "cpuSeconds": round(used.ru_utime + used.ru_stime, 1),
        "peakMiB": _peak_mib(),
    }


def collections(settings: S3Storage) -> Iterator[dict[str, Any]]:
    """Passes, until one finds nothing to do; then an audit."""
    command = [sys.executable, "-m", "benchmarks.collection", "--once", settings.model_dump_json()]
    for _ in range(PASSES):
        time.sleep(SETTLE)
        done: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        yield done
        if not sum(done["hidden"].values()) + sum(done["taken"].values()):
            break
    yield json.loads(subprocess.run([*command, "--audit"], check=True, capture_output=True).stdout)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collection")
    parser.add_argument("--manifests", type=int, default=100_000, help=f"each has {EACH} blobs of its own")
    parser.add_argument("--folder", type=Path, help="where the bucket is to lie, for the time of this")
    parser.add_argument("--once", help=argparse.SUPPRESS)
    parser.add_argument("--audit", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        settings = S3Storage.model_validate_json(options.once)
        print(json.dumps(asyncio.run(once(settings, audit=options.audit))))
        return 0
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        s3_server(Path(folder), tls=False) as server,
    ):
        settings = server.bucket(BUCKET)
        files = Files(Path(folder) / "buckets" / BUCKET)
        asyncio.run(fill(files, options.manifests))
        print(
            f"{options.manifests} manifests, {EACH * options.manifests} blobs, {files.count} objects",
            flush=True,
        )
        for number, done in enumerate(collections(settings), 1):
            print(f"collection {number}: {json.dumps(done)}", flush=True)
    return 0


def _peak_mib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


if __name__ == "__main__":
    sys.exit(main())
