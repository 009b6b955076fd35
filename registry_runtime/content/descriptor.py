"""Descriptors: content named by type, digest and size.

https://github.com/opencontainers/image-spec/blob/main/descriptor.md
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from registry_runtime.content.digest import Digest
from registry_runtime.errors import DigestInvalid, ManifestInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SIZE = 2**63 - 1
_FOREIGN = (
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """`size` in bytes; `platform` is kept as it came."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    artifact_type: str | None = None
    urls: tuple[str, ...] = ()
    platform: Mapping[str, Any] | None = None

    @property
    def foreign(self) -> bool:
        """Whether the content may lie elsewhere, so that nobody has to push it."""
        return bool(self.urls) or self.media_type.startswith(_FOREIGN)

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.urls:
            document["urls"] = list(self.urls)
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        if self.platform:
            document["platform"] = dict(self.platform)
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        return document

    @classmethod
    def from_json(cls, document: object, where: str) -> Self:
        """Raises ManifestInvalid that names the field below `where`."""
        fields = as_object(document, where)
        size = fields.get("size")
        if type(size) is not int or not 0 <= size <= MAX_SIZE:
            raise ManifestInvalid(f"{where}.size must be a number of bytes")
        platform = fields.get("platform")
        return cls(
            media_type=as_text(fields.get("mediaType"), f"{where}.mediaType"),
            digest=_digest(fields.get("digest"), f"{where}.digest"),
            size=size,
            annotations=as_annotations(fields.get("annotations"), f"{where}.annotations"),
            artifact_type=optional_text(fields.get("artifactType"), f"{where}.artifactType"),
            urls=tuple(as_text(url, f"{where}.urls") for url in as_list(fields.get("urls"), f"{where}.urls")),
            platform=None if platform is None else as_object(platform, f"{where}.platform"),
        )


def as_object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ManifestInvalid(f"{where} must be a JSON object")
    return value


def as_list(value: object, where: str) -> list[Any]:
    """Go's encoder writes an empty list as null, and some clients leave it out: both are empty."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise ManifestInvalid(f"{where} must be a JSON array")
    return value


def as_text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise ManifestInvalid(f"{where} must be a string that is not empty")
    return value


def optional_text(value: object, where: str) -> str | None:
    """Absent, null and the empty string are the same to the clients that write them."""
    return None if value is None or value == "" else as_text(value, where)


def as_annotations(value: object, where: str) -> dict[str, str]:
    if value is None:
        return {}
    found = as_object(value, where)
    if not all(isinstance(text, str) for text in found.values()):
        raise ManifestInvalid(f"{where} must map strings to strings")
    return found


def _digest(value: object, where: str) -> Digest:
    try:
        return Digest.parse(as_text(value, where))
    except DigestInvalid as error:
        raise ManifestInvalid(f"{where}: {error.message}", error.detail) from error
