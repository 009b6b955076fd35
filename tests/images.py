"""Content to push: blobs, manifests, and bodies as a connection delivers them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from registry_runtime.content.descriptor import Descriptor
from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE, OCI_INDEX
from registry_runtime.contract.config import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from registry_runtime.content.name import RepositoryName
    from registry_runtime.repository import OpenBlob, Registry

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MIXED = Limits(inline_bytes=2)  # so that a story has blobs of both kinds: the config `{}` lies in its pointer
CONFIG = "application/vnd.oci.image.config.v1+json"


class Cut(Exception):
    """The client's connection broke."""


async def body(content: bytes, size: int = 65536, *, cut: bool = False) -> AsyncIterator[bytes]:
    """The content in pieces; with `cut` the connection breaks behind it."""
    for start in range(0, len(content), size):
        yield content[start : start + size]
    if cut:
        raise Cut


def descriptor(content: bytes, media_type: str = LAYER) -> Descriptor:
    return Descriptor(media_type, Digest.of(content), len(content))


def image(*layers: bytes, config: bytes = b"{}", **fields: Any) -> bytes:
    """An OCI image manifest; `fields` are added to it."""
    return document(
        OCI_IMAGE,
        config=descriptor(config, CONFIG).to_json(),
        layers=[descriptor(layer).to_json() for layer in layers],
        **fields,
    )


def index(*manifests: bytes, **fields: Any) -> bytes:
    """An OCI image index."""
    children = [descriptor(manifest, OCI_IMAGE).to_json() for manifest in manifests]
    return document(OCI_INDEX, manifests=children, **fields)


def document(media_type: str, **fields: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, **fields}).encode()


async def push_blobs(registry: Registry, name: RepositoryName, *blobs: bytes) -> None:
    for blob in blobs:
        await registry.uploads.push(name, Digest.of(blob), body(blob), "test")


async def read(opened: OpenBlob) -> bytes:
    """All bytes of an open blob."""
    return b"".join([bytes(chunk) async for chunk in opened.chunks])


async def pull(registry: Registry, name: RepositoryName, digest: Digest) -> bytes:
    return await read(await registry.blobs.open(name, digest))
