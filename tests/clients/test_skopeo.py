"""skopeo: copies between registries and layouts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.api.replica import ROBOT, STRANGER
from tests.clients.layout import Layout
from tests.clients.workstation import Program, Workstation


def logged_in(workstation: Workstation, password: str = ROBOT.text) -> Program:
    """Debian's skopeo looks for its policy in /etc, where it may be anybody's: it is told to accept."""
    skopeo = workstation.program("skopeo", "--insecure-policy")
    skopeo("login", "--username=iamapikey", "--password-stdin", workstation.host, stdin=password)
    return skopeo


@pytest.fixture
def skopeo(workstation: Workstation) -> Program:
    return logged_in(workstation)


def test_login_needs_the_password(workstation: Workstation) -> None:
    """`login` succeeds with the password, and with nothing else."""
    skopeo = workstation.program("skopeo")
    login = ("login", "--username=iamapikey", "--password-stdin", workstation.host)
    assert "invalid username/password" in skopeo.refused(*login, stdin="hunter2")
    assert "Succeeded" in skopeo(*login, stdin=ROBOT.text)


def test_an_image_comes_and_goes(skopeo: Program, name: str, layout: Layout, tmp_path: Path) -> None:
    """Push, inspect, list, copy inside the registry (mounts), pull, delete."""
    skopeo("copy", f"oci:{layout.path}:v1", f"docker://{name}:v1")
    shown = json.loads(skopeo("inspect", f"docker://{name}:v1"))
    assert len(shown["Layers"]) == 2
    assert json.loads(skopeo("list-tags", f"docker://{name}"))["Tags"] == ["v1"]

    skopeo("copy", f"docker://{name}:v1", f"docker://{name}-copy:v2")
    skopeo("copy", f"docker://{name}-copy:v2", f"oci:{tmp_path / 'back'}:v1")
    assert layout.same(tmp_path / "back")

    skopeo("delete", f"docker://{name}:v1")
    assert "manifest unknown" in skopeo.refused("inspect", f"docker://{name}:v1").lower()


def test_a_repository_is_synchronised(skopeo: Program, name: str, layout: Layout, tmp_path: Path) -> None:
    """`sync` walks all tags of a repository into a directory."""
    for tag in ("v1", "v2"):
        skopeo("copy", f"oci:{layout.path}:v1", f"docker://{name}:{tag}")
    skopeo("sync", "--src=docker", "--dest=dir", name, tmp_path)
    repository = name.rpartition("/")[2]
    assert sorted(path.name for path in tmp_path.glob(f"{repository}*")) == [
        f"{repository}:v1",
        f"{repository}:v2",
    ]


def test_dockers_own_format(skopeo: Program, name: str, layout: Layout) -> None:
    """Converted on the way to Docker's manifest of version 2, schema 2, it is served as that."""
    skopeo("copy", "--format=v2s2", f"oci:{layout.path}:v1", f"docker://{name}:v1")
    manifest = json.loads(skopeo("inspect", "--raw", f"docker://{name}:v1"))
    assert manifest["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"


def test_a_stranger_is_refused(skopeo: Program, elsewhere: Workstation, name: str, layout: Layout) -> None:
    """Another account's token is told that it may not, nobody's that it must log in."""
    skopeo("copy", f"oci:{layout.path}:v1", f"docker://{name}:v1")
    nobody = elsewhere.program("skopeo")
    assert "unauthorized" in nobody.refused("inspect", f"docker://{name}:v1").lower()
    stranger = logged_in(elsewhere, STRANGER.text)
    assert "denied" in stranger.refused("inspect", f"docker://{name}:v1").lower()
