"""A layer of 6 GiB on S3: more than S3 copies at once, or takes as one object or part.

It wants 7 GiB of disk and more than a minute: it runs where ROADSTEAD_LARGE_LAYER is set (docs/clients.md).
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.client import descriptor
from tests.api.replica import Replica
from tests.clients.layout import TAR, Layer, Layout
from tests.clients.workstation import Program, Workstation
from tests.minio_server import minio_server
from tests.s3_server import S3Server

pytestmark = pytest.mark.skipif(
    not os.environ.get("ROADSTEAD_LARGE_LAYER"), reason="ROADSTEAD_LARGE_LAYER is not set"
)
MIB = 1 << 20
SIZE = 6 << 30  # of the file in the layer; S3 copies at most 5 GiB at once
LIMIT = 5 << 30
SECONDS = 900.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """Emptied at once: pytest keeps what lies in its own."""
    with tempfile.TemporaryDirectory(prefix="large-layer-") as name:
        yield Path(name)


@pytest.fixture
def server(folder: Path) -> Iterator[S3Server]:
    """MinIO: versitygw notes the parts of an object in an attribute, and ext4 has no room for so many."""
    with minio_server(folder / "s3") as running:
        yield running


@pytest.fixture
def replica(server: S3Server, folder: Path) -> Iterator[Replica]:
    storage = server.bucket("large").model_dump(mode="json")
    with Replica(folder, storage, secure=True) as running:
        yield running


@pytest.fixture
def layout(folder: Path) -> Layout:
    """An image of one layer, a tar with a file that takes little of the disk that it is pushed from."""
    layout = Layout(folder / "layout")
    digest, size = write_layer(layout.path / "layer")
    layout.blob(digest).parent.mkdir(parents=True)
    (layout.path / "layer").rename(layout.blob(digest))
    layout.name(layout.image(Layer(descriptor(TAR, digest, size), digest)), "v1")
    return layout


def write_layer(file: Path) -> tuple[str, int]:
    """Its digest and size. Zeros, with a number in each MiB: no part of it is like another."""
    file.parent.mkdir()
    entry = tarfile.TarInfo("numbered")
    entry.size = SIZE
    with file.open("wb") as written:
        written.write(entry.tobuf())
        for number in range(SIZE // MIB):
            written.seek(tarfile.BLOCKSIZE + number * MIB)
            written.write(number.to_bytes(8))
        size = written.truncate(SIZE + 3 * tarfile.BLOCKSIZE)
    with file.open("rb") as read:
        return f"sha256:{hashlib.file_digest(read, 'sha256').hexdigest()}", size


def test_a_layer_past_the_limit_of_a_copy(
    crane: Program, workstation: Workstation, name: str, server: S3Server, layout: Layout
) -> None:
    """Pushed, and mounted into another repository, it lies in the bucket once, and is read back whole."""
    crane("push", layout.path, f"{name}:v1", seconds=SECONDS)
    crane("copy", f"{name}:v1", f"{name}-copy:v1", seconds=SECONDS)
    client = server.client()
    sizes = [found["Size"] for found in client.list_objects_v2(Bucket="large", Prefix="data/")["Contents"]]
    client.close()
    digest = max(layout.digests(), key=lambda one: layout.blob(one).stat().st_size)
    assert [size for size in sizes if size > LIMIT] == [layout.blob(digest).stat().st_size]

    oras = workstation.program("oras")  # which compares the digest
    oras("blob", "fetch", "--output=/dev/null", f"{name}-copy@{digest}", seconds=SECONDS)
