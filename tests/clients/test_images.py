"""Images that are not as others, by four clients: what one pushes comes back byte for byte."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from tests.api.client import LAYER, digest_of
from tests.api.replica import Replica
from tests.clients.copier import Copier
from tests.clients.layout import AMD64, ARM64, FOREIGN, TAR, Layer, Layout, attested
from tests.clients.workstation import Program


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Still empty."""
    return Layout(tmp_path / "layout")


def test_an_index_with_attestations(
    copier: Copier, crane: Program, name: str, layout: Layout, tmp_path: Path
) -> None:
    """Two platforms and their attestations: each platform finds its image, and everything comes back."""
    index = attested(layout)
    layout.name(index, "v1")
    copier.push(layout, f"{name}:v1")
    assert crane("digest", f"{name}:v1") == index["digest"]
    digests = {
        crane("digest", f"{name}:v1", f"--platform=linux/{one['architecture']}") for one in (AMD64, ARM64)
    }
    assert len(digests) == 2
    assert layout.same(copier.pull(f"{name}:v1", tmp_path / "back"))


def test_a_copy_inside_the_registry_moves_no_layer(
    copier: Copier, name: str, layout: Layout, replica: Replica
) -> None:
    """It is mounted from the repository where it lies."""
    layout.name(layout.image(layout.layer("file", os.urandom(4096))), "v1")
    copier.push(layout, f"{name}:v1")
    copier.copy(f"{name}:v1", f"{name}-copy:v1")
    uploads = f"/v2/{name.partition('/')[2]}-copy/blobs/uploads/"
    asked = [line for line in replica.lines("request") if line["path"].startswith(uploads)]
    assert ("POST", 201) in [(line["method"], line["status"]) for line in asked]
    assert sum(line["bytes_in"] for line in asked) < 4096


def test_a_hundred_layers(copier: Copier, name: str, layout: Layout, tmp_path: Path) -> None:
    """Every one of them comes back."""
    layers = [layout.layer(f"{number}", os.urandom(64)) for number in range(100)]
    layout.name(layout.image(*layers), "v1")
    copier.push(layout, f"{name}:v1")
    assert layout.same(copier.pull(f"{name}:v1", tmp_path / "back"))


def test_empty_layers(copier: Copier, name: str, layout: Layout, tmp_path: Path) -> None:
    """A tar without entries, Docker's own empty layer, and a layer without a byte."""
    empty = bytes(1024)
    docker = bytes.fromhex("1f8b080000096e8800ff621805a360148c5800080000ffff2eafb5ef00040000")
    assert gzip.decompress(docker) == empty
    layers = [
        Layer(layout.put(gzip.compress(empty, mtime=0), LAYER), digest_of(empty)),
        Layer(layout.put(docker, LAYER), digest_of(empty)),
        Layer(layout.put(b"", TAR), digest_of(b"")),
    ]
    layout.name(layout.image(*layers), "v1")
    copier.push(layout, f"{name}:v1")
    assert layout.same(copier.pull(f"{name}:v1", tmp_path / "back"))


def test_foreign_layers(copier: Copier, crane: Program, name: str, layout: Layout) -> None:
    """A layer that may not be distributed is named by its URL, and nobody has to push it."""
    foreign = layout.layer("licensed", os.urandom(64), FOREIGN, urls=["https://elsewhere.test/layer"])
    image = layout.image(layout.layer("free", os.urandom(64)), foreign)
    layout.name(image, "v1")
    layout.blob(foreign.descriptor["digest"]).unlink()
    copier.push(layout, f"{name}:v1")
    assert crane("manifest", f"{name}:v1").encode() == layout.blob(image["digest"]).read_bytes()
    assert "BLOB_UNKNOWN" in crane.refused("blob", f"{name}@{foreign.descriptor['digest']}")
