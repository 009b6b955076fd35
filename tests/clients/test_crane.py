"""crane: the client of go-containerregistry, which ko, kaniko and cosign share."""

from __future__ import annotations

from pathlib import Path

from tests.clients.layout import Layout, tar
from tests.clients.workstation import Program, Workstation


def test_an_image_comes_and_goes(
    crane: Program, elsewhere: Workstation, name: str, layout: Layout, tmp_path: Path
) -> None:
    """Push, list, copy (mounts), pull, delete; nothing for those who did not log in."""
    nobody = elsewhere.program("crane")
    assert "UNAUTHORIZED" in nobody.refused("push", layout.path, f"{name}:v1")
    pushed = crane("push", layout.path, f"{name}:v1").partition("@")[2]
    assert crane("digest", f"{name}:v1") == pushed
    assert crane("ls", name) == "v1"
    assert name.removeprefix(f"{elsewhere.host}/") in crane("catalog", elsewhere.host).splitlines()

    crane("copy", f"{name}:v1", f"{name}-copy:v2")
    crane("pull", "--format=oci", f"{name}-copy:v2", tmp_path / "back")
    assert layout.same(tmp_path / "back")
    assert "UNAUTHORIZED" in nobody.refused("manifest", f"{name}-copy:v2")

    crane("delete", f"{name}:v1")
    assert "MANIFEST_UNKNOWN" in crane.refused("manifest", f"{name}:v1")
    assert crane("digest", f"{name}-copy:v2") == pushed


def test_an_image_grows(crane: Program, name: str, layout: Layout, tmp_path: Path) -> None:
    """A layer is appended in the registry, a label set, a tag moved; `validate` reads all back."""
    (tmp_path / "more.tar").write_bytes(tar("more", b"more\n"))
    crane("push", layout.path, f"{name}:v1")
    crane("append", f"--base={name}:v1", f"--new_layer={tmp_path / 'more.tar'}", f"--new_tag={name}:v2")
    crane("mutate", f"{name}:v2", "--label=by=crane", f"--tag={name}:v3")
    crane("tag", f"{name}:v3", "latest")
    assert crane("digest", f"{name}:latest") == crane("digest", f"{name}:v3")
    assert '"by":"crane"' in crane("config", f"{name}:latest")
    assert "PASS" in crane("validate", f"--remote={name}:latest")
