"""buildah: builds, pushes and pulls images, and manifest lists."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.api.replica import ROBOT
from tests.clients.layout import ZSTD
from tests.clients.workstation import Program, Workstation


@pytest.fixture
def buildah(workstation: Workstation, tmp_path: Path) -> Program:
    """With a storage of its own, that needs no kernel's help."""
    storage = (f"--root={tmp_path / 'root'}", f"--runroot={tmp_path / 'run'}", "--storage-driver=vfs")
    program = workstation.program("buildah", *storage)
    program("login", "--username=iamapikey", "--password-stdin", workstation.host, stdin=ROBOT.text)
    return program


def build(buildah: Program, directory: Path, image: str, *options: str) -> str:
    """The id of an image from scratch with one file.

    Its content is new: buildah remembers, for the whole machine, how it packed what it pushed before.
    """
    (directory / "file").write_bytes(os.urandom(64))
    container = buildah("from", *options, "scratch")
    buildah("copy", container, directory / "file", "/file")
    built = buildah("commit", "--format=oci", container, image)
    buildah("rm", container)
    return built


def test_what_is_built_comes_back(buildah: Program, name: str, tmp_path: Path) -> None:
    """An image built from scratch is pushed, removed, and pulled back."""
    image = build(buildah, tmp_path, "built")
    buildah("push", "built", f"docker://{name}:built")
    buildah("rmi", "--all", "--force")
    assert buildah("pull", f"docker://{name}:built").splitlines()[-1] == image


def test_layers_of_zstd(buildah: Program, workstation: Workstation, name: str, tmp_path: Path) -> None:
    """Pushed with `--compression-format zstd`, the layer is of that type and is unpacked again."""
    image = build(buildah, tmp_path, "built")
    buildah("push", "--compression-format=zstd", "built", f"docker://{name}:zstd")
    raw = workstation.program("skopeo")("inspect", "--raw", f"docker://{name}:zstd")
    assert [layer["mediaType"] for layer in json.loads(raw)["layers"]] == [ZSTD]

    buildah("rmi", "--all", "--force")
    assert buildah("pull", f"docker://{name}:zstd").splitlines()[-1] == image


def test_a_manifest_list(buildah: Program, name: str, tmp_path: Path) -> None:
    """Images of two platforms are pushed with their list; each platform pulls its own."""
    images = {}
    buildah("manifest", "create", "list")
    for architecture in ("amd64", "arm64"):
        images[architecture] = build(buildah, tmp_path, architecture, f"--arch={architecture}")
        buildah("manifest", "add", "list", architecture)
    buildah("manifest", "push", "--all", "list", f"docker://{name}:all")
    buildah("rmi", "--all", "--force")
    for architecture, image in images.items():
        pulled = buildah("pull", f"--arch={architecture}", f"docker://{name}:all")
        assert pulled.splitlines()[-1] == image
