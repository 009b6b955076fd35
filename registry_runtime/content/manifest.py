"""Manifests: which blobs, manifests and subject a document names.

Read strictly: what two clients could read in two ways (CVE-2021-41190) is refused.
https://github.com/opencontainers/image-spec/blob/main/manifest.md
https://github.com/opencontainers/image-spec/blob/main/image-index.md
https://github.com/distribution/distribution/blob/main/docs/content/spec/manifest-v2-2.md
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry_runtime.content.descriptor import (
    Descriptor,
    as_annotations,
    as_list,
    as_object,
    as_text,
    optional_text,
)
from registry_runtime.content.digest import Digest
from registry_runtime.errors import ManifestInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
IMAGES = frozenset({OCI_IMAGE, DOCKER_IMAGE})
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
MAX_DESCRIPTORS = 10_000  # each blob costs the check two reads of the storage
MAX_MEMBERS = 200_000  # by their colons, and a digest has one; parsed they take ten times their bytes
MAX_DEPTH = 64  # whoever reads it again may stand deeper in Python's stack than who took it
# A string, or all that is left where none ends: what is looked at is not looked at again.
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_FLAT = re.compile(rb"[^][{}]+")
SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest names; `config` and `layers` of an image are its `blobs`."""

    media_type: str
    blobs: tuple[Descriptor, ...]
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None
    artifact_type: str | None
    annotations: Mapping[str, str]

    def descriptor(self, content: bytes, algorithm: str = "sha256") -> Descriptor:
        """The manifest as the referrers of its subject list it.

        https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers
        """
        return Descriptor(
            media_type=self.media_type,
            digest=Digest.of(content, algorithm),
            size=len(content),
            annotations=self.annotations,
            artifact_type=self.artifact_type,
        )


def parse(media_type: str, content: bytes) -> Manifest:
    """Raises ManifestInvalid with the field that is wrong."""
    if media_type not in IMAGES | INDEXES:
        raise ManifestInvalid(
            "the media type must be that of an OCI image manifest or index, "
            "or of a Docker image manifest of version 2, schema 2, or list",
            {"mediaType": media_type[:255]},
        )
    document = _document(content)
    _check_kind(media_type, document)
    subject = document.get("subject")
    image = media_type in IMAGES
    blobs = _blobs(document) if image else ()
    manifests = () if image else _descriptors(document, "manifests")
    artifact_type = optional_text(document.get("artifactType"), "artifactType")
    return Manifest(
        media_type=media_type,
        blobs=blobs,
        manifests=manifests,
        subject=None if subject is None else Descriptor.from_json(subject, "subject"),
        artifact_type=artifact_type or (blobs[0].media_type if image else None),
        annotations=as_annotations(document.get("annotations"), "annotations"),
    )


def _blobs(document: dict[str, Any]) -> tuple[Descriptor, ...]:
    """The config first."""
    return (Descriptor.from_json(document.get("config"), "config"), *_descriptors(document, "layers"))


def _descriptors(document: dict[str, Any], field: str) -> tuple[Descriptor, ...]:
    items = as_list(document.get(field), field)
    if len(items) > MAX_DESCRIPTORS:
        raise ManifestInvalid(f"{field} has more than {MAX_DESCRIPTORS} entries")
    return tuple(Descriptor.from_json(item, f"{field}[{index}]") for index, item in enumerate(items))


def _check_kind(media_type: str, document: dict[str, Any]) -> None:
    version = document.get("schemaVersion")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise ManifestInvalid(f"schemaVersion must be {SCHEMA_VERSION}")
    named = document.get("mediaType")
    if named is None and media_type in {DOCKER_IMAGE, DOCKER_LIST}:
        raise ManifestInvalid("mediaType is missing: Docker's manifests must carry it")
    if named is not None and as_text(named, "mediaType") != media_type:
        raise ManifestInvalid("mediaType is another than the Content-Type", {"mediaType": named[:255]})
    foreign = {"manifests"} if media_type in IMAGES else {"config", "layers"}
    if confusing := sorted(foreign & document.keys()):
        raise ManifestInvalid(f"{confusing[0]} has no place in a document of this media type")


def _document(content: bytes) -> dict[str, Any]:
    groups = content.count(b"[") + content.count(b"{")
    if max(groups, content.count(b":")) > MAX_MEMBERS:
        raise ManifestInvalid(f"the manifest has more than {MAX_MEMBERS} members")
    if groups > MAX_DEPTH and _is_deep(content):
        raise ManifestInvalid(f"the manifest is nested too deeply: more than {MAX_DEPTH} levels")
    try:
        document = json.loads(content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
        if b"\\u" in content:  # a lone surrogate is no text: it could be stored, and never written out again
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ManifestInvalid("the manifest is nested too deeply") from None
    except ValueError as error:  # no UTF-8, no JSON, too long a number
        raise ManifestInvalid(f"the manifest is no JSON document: {error}"[:300]) from None
    return as_object(document, "the manifest")


def _is_deep(content: bytes) -> bool:
    """Whether brackets stand in each other too deep, or are no pairs."""
    left = _FLAT.sub(b"", _TEXT.sub(b"", content))
    for _ in range(MAX_DEPTH):
        if not left:
            return False
        left = left.replace(b"[]", b"").replace(b"{}", b"")
    return bool(left)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ManifestInvalid("a key of the manifest stands twice in one object")
    return fields


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
