"""Images to push, as OCI layouts on the disk.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.api.client import CONFIG, LAYER, OCI_IMAGE, OCI_INDEX, descriptor, digest_of

TAR = "application/vnd.oci.image.layer.v1.tar"
ZSTD = f"{TAR}+zstd"
FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
IN_TOTO = "application/vnd.in-toto+json"
REF_NAME = "org.opencontainers.image.ref.name"
AMD64 = {"architecture": "amd64", "os": "linux"}
ARM64 = {"architecture": "arm64", "os": "linux"}
UNKNOWN = {"architecture": "unknown", "os": "unknown"}

Json = dict[str, Any]


@dataclass(frozen=True)
class Layer:
    """A descriptor, and the digest of the tar before it was packed."""

    descriptor: Json
    diff_id: str


@dataclass
class Layout:
    """A directory that `skopeo oci:`, `crane push`, `regctl ocidir://` and `oras --oci-layout` read."""

    path: Path
    _named: list[Json] = field(default_factory=list)

    def put(self, content: bytes, media_type: str, **more: Any) -> Json:
        """The descriptor of a blob that lies in the layout now."""
        digest = digest_of(content)
        file = self.blob(digest)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return descriptor(media_type, digest, len(content)) | more

    def blob(self, digest: str) -> Path:
        return self.path / "blobs" / digest.replace(":", "/")

    def layer(self, name: str, content: bytes, media_type: str = LAYER, **more: Any) -> Layer:
        """A layer with one file, compressed unless its type is TAR."""
        packed = tar(name, content)
        blob = packed if media_type == TAR else gzip.compress(packed, compresslevel=1, mtime=0)
        return Layer(self.put(blob, media_type, **more), digest_of(packed))

    def image(self, *layers: Layer, platform: Json = AMD64, **more: Any) -> Json:
        """An image manifest; its descriptor says for which platform."""
        rootfs = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
        config = self.document(CONFIG, **platform, config={}, rootfs=rootfs)
        manifest = self.document(
            OCI_IMAGE,
            schemaVersion=2,
            mediaType=OCI_IMAGE,
            config=config,
            layers=[layer.descriptor for layer in layers],
            **more,
        )
        return manifest | {"platform": platform}

    def index(self, *manifests: Json) -> Json:
        return self.document(OCI_INDEX, schemaVersion=2, mediaType=OCI_INDEX, manifests=[*manifests])

    def document(self, of_type: str, **fields: Any) -> Json:
        return self.put(json.dumps(fields).encode(), of_type)

    def name(self, target: Json, tag: str) -> None:
        """The layout's index lists the target under this tag."""
        self._named.append(target | {"annotations": {REF_NAME: tag}})
        (self.path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        top = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self._named}
        (self.path / "index.json").write_text(json.dumps(top))

    def digests(self) -> set[str]:
        """Of all blobs."""
        return {f"sha256:{file.name}" for file in (self.path / "blobs" / "sha256").iterdir()}

    def same(self, other: Path, *digests: str) -> bool:
        """Whether another layout holds the same bytes: of these, or of everything that is here."""
        theirs = Layout(other)
        wanted = digests or self.digests()
        return all(theirs.blob(one).read_bytes() == self.blob(one).read_bytes() for one in wanted)


def tar(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        entry.mode = 0o644
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def attested(layout: Layout) -> Json:
    """An index of two platforms, and an attestation of each, as BuildKit pushes them.

    https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md
    """
    images = [
        layout.image(layout.layer("file", os.urandom(4096)), platform=platform) for platform in (AMD64, ARM64)
    ]
    return layout.index(*images, *(_attestation(layout, image) for image in images))


def _attestation(layout: Layout, image: Json) -> Json:
    statement = {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://slsa.dev/provenance/v0.2",
        "subject": [{"name": "tests", "digest": {"sha256": image["digest"].partition(":")[2]}}],
        "predicate": {},
    }
    document = layout.document(IN_TOTO, **statement)
    layer = document | {"annotations": {"in-toto.io/predicate-type": statement["predicateType"]}}
    manifest = layout.image(Layer(layer, document["digest"]), platform=UNKNOWN)
    about = {"reference.digest": image["digest"], "reference.type": "attestation-manifest"}
    return manifest | {"annotations": {f"vnd.docker.{key}": value for key, value in about.items()}}
