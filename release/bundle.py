"""A release: both images as OCI layouts, and what installs them by their digests."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from release import chart, manifests
from release.manifests import Object

OPERATOR, RUNTIME = "operator", "runtime"


@dataclass(frozen=True)
class Pinned:
    """An image by the digest of its manifest."""

    repository: str
    digest: str

    @property
    def reference(self) -> str:
        return f"{self.repository}@{self.digest}"


def layout(archive: Path, folder: Path, tag: str) -> str:
    """A docker-archive as an OCI layout of one image; the digest of its manifest, which a push keeps."""
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(
        ["skopeo", "copy", "--quiet", f"docker-archive:{archive}", f"oci:{folder}:{tag}"], check=True
    )
    (manifest,) = json.loads((folder / "index.json").read_text())["manifests"]
    return str(manifest["digest"])


def install(images: Mapping[str, Pinned]) -> str:
    """install.yaml: all objects of manifests/, with the images by digest."""
    found = [one for file in manifests.files(manifests.ROOT) for one in manifests.objects(file)]
    for one in found:
        if one["kind"] == "Deployment":
            _pin(one, images)
    return "---\n".join(yaml.safe_dump(one, sort_keys=False, width=110) for one in found)


def _pin(deployment: Object, images: Mapping[str, Pinned]) -> None:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["image"] = images[OPERATOR].reference
    for one in container["env"]:
        if one["name"] == "RUNTIME_IMAGE":
            one["value"] = images[RUNTIME].reference


def pinned_chart(folder: Path, version: str, images: Mapping[str, Pinned]) -> None:
    """The chart with the digests as defaults of its values."""
    for _ in chart.write(folder, version):
        pass
    values = folder / "values.yaml"
    lines = values.read_text().splitlines(keepends=True)
    for name, image in images.items():
        (number,) = [at for at, line in enumerate(lines) if line.startswith(f"  {name}: {{")]
        _, _, comment = lines[number].partition(" #")
        wanted = {"repository": image.repository, "tag": "", "digest": image.digest}
        lines[number] = f"  {name}: {json.dumps(wanted)}{' #' + comment.rstrip() if comment else ''}\n"
    values.write_text("".join(lines))
