"""containerd, as nodes pull: `ctr images` with hosts.toml and credentials."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.replica import READER, ROBOT, STRANGER, Replica
from tests.clients.containerd import Containerd, Refused, containerd
from tests.clients.layout import TAR, ZSTD, Layout, attested
from tests.clients.workstation import Program, Workstation

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containerd unpacks images as root")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Containerd]:
    with containerd() as running:
        yield running


@pytest.fixture
def node(daemon: Containerd, host: str, replica: Replica) -> Containerd:
    daemon.trust(host, replica.authority.file)
    return daemon


def pull(node: Containerd, reference: str, *options: str) -> None:
    """By a reader, and unpacked."""
    node.pull(reference, READER.text, *options)
    checked = node("images", "check", "--snapshotter=native", f"name=={reference}")
    assert re.search(r"complete .* true$", checked), checked


def test_an_image_comes_and_goes(node: Containerd, crane: Program, name: str, layout: Layout) -> None:
    """Pulled by a reader and unpacked, tagged anew, pushed by who may push: the same image."""
    pushed = crane("push", layout.path, f"{name}:v1").partition("@")[2]
    pull(node, f"{name}:v1")
    assert pushed in node("images", "ls", f"name=={name}:v1")

    node("images", "tag", f"{name}:v1", f"{name}-copy:v2")
    with pytest.raises(Refused, match=r"403|denied"):
        node.push(f"{name}-copy:v2", READER.text)
    node.push(f"{name}-copy:v2", ROBOT.text)
    assert crane("digest", f"{name}-copy:v2") == pushed


def test_nobody_and_strangers(node: Containerd, crane: Program, name: str, layout: Layout) -> None:
    """A wrong password and another account's token pull nothing."""
    crane("push", layout.path, f"{name}:v1")
    with pytest.raises(Refused, match=r"401|unauthorized"):
        node.pull(f"{name}:v1", "hunter2")
    with pytest.raises(Refused, match=r"403|denied"):
        node.pull(f"{name}:v1", STRANGER.text)


def test_layers_of_zstd(
    node: Containerd, crane: Program, workstation: Workstation, name: str, tmp_path: Path
) -> None:
    """What skopeo compressed by zstd on its way is pulled and unpacked."""
    layout = Layout(tmp_path / "layout")
    layout.name(layout.image(layout.layer("file", os.urandom(1 << 20), TAR)), "v1")
    skopeo = workstation.program("skopeo", "--insecure-policy")
    skopeo("copy", "--dest-compress-format=zstd", f"oci:{layout.path}:v1", f"docker://{name}:v1")
    manifest = json.loads(crane("manifest", f"{name}:v1"))
    assert [layer["mediaType"] for layer in manifest["layers"]] == [ZSTD]
    pull(node, f"{name}:v1")


def test_a_hundred_layers(node: Containerd, crane: Program, name: str, tmp_path: Path) -> None:
    """All are pulled, some at once, and unpacked."""
    layout = Layout(tmp_path / "layout")
    layout.name(layout.image(*[layout.layer(f"{n}", os.urandom(64)) for n in range(100)]), "v1")
    crane("push", layout.path, f"{name}:v1")
    pull(node, f"{name}:v1")


def test_an_index_with_attestations(node: Containerd, crane: Program, name: str, tmp_path: Path) -> None:
    """The machine's platform is unpacked; all platforms with their attestations go back into the registry."""
    layout = Layout(tmp_path / "layout")
    index = attested(layout)
    layout.name(index, "v1")
    crane("push", layout.path, f"{name}:v1")
    pull(node, f"{name}:v1")
    node.pull(f"{name}:v1", READER.text, "--local", "--all-platforms")
    node("images", "tag", f"{name}:v1", f"{name}-copy:v1")
    node.push(f"{name}-copy:v1", ROBOT.text)
    crane("pull", "--format=oci", f"{name}-copy:v1", tmp_path / "back")
    assert layout.same(tmp_path / "back")
