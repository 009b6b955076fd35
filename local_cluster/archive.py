"""`docker-archive:` tars: reading which images one holds, and writing the one image that every cluster needs.

The format is that of `docker save`: manifest.json names each image's config, tags and layers.
https://github.com/moby/docker-image-spec
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cluster.errors import BadRequest

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """An image in an archive: its tags, and its id, which is the digest of its config."""

    tags: tuple[str, ...]
    config: str


def images_in(archive: Path) -> list[Image]:
    """Raises BadRequest for what is not a docker-archive."""
    try:
        with tarfile.open(archive) as tar:
            manifest = json.loads(member(tar, "manifest.json"))
            return [
                Image(
                    tags=tuple(entry.get("RepoTags") or ()),
                    config=f"sha256:{hashlib.sha256(member(tar, entry['Config'])).hexdigest()}",
                )
                for entry in manifest
            ]
    except (OSError, tarfile.TarError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadRequest(f"{archive}: not a docker-archive, as `docker save` writes it: {error}") from error


def all_listed(images: list[Image], listed: str) -> bool:
    """Whether `ctr images list` shows every image under each of its tags.

    For each image that it takes in, containerd's CRI adds a name that is the image's id, of the same digest.
    """
    rows = (line.split(maxsplit=3) for line in listed.splitlines()[1:])
    digests = {name: digest for name, _media_type, digest, _rest in rows}
    return all(
        image.config in digests and digests.get(normalised(tag)) == digests[image.config]
        for image in images
        for tag in image.tags
    )


def normalised(tag: str) -> str:
    """As containerd names it: with docker.io, and library, where no registry is named."""
    first, slash, _rest = tag.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return tag
    return f"docker.io/{tag}" if slash else f"docker.io/library/{tag}"


def member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    if file is None:
        raise LookupError(f"{name} is no file")
    return file.read()


def write(archive: Path, tag: str, files: Mapping[str, bytes], config: Mapping[str, Any]) -> None:
    """An image of one layer with executables (path → content); `config` as in OCI's image config."""
    layer = tar_of({name: (content, 0o755) for name, content in files.items()})
    description = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [tag], "Layers": ["layer.tar"]}]
    content = {
        "config.json": json.dumps(description).encode(),
        "layer.tar": layer,
        "manifest.json": json.dumps(manifest).encode(),
    }
    archive.write_bytes(tar_of({name: (each, 0o644) for name, each in content.items()}))


def tar_of(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """The same bytes for the same files: no times, no owners."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, (content, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()
