"""regctl: the client of regclient, with artifacts, referrers and blobs by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.api.client import digest_of
from tests.api.replica import ROBOT
from tests.clients.layout import Layout
from tests.clients.workstation import Program, Workstation


@pytest.fixture
def regctl(workstation: Workstation) -> Program:
    program = workstation.program("regctl")
    program("registry", "login", workstation.host, "--user=iamapikey", "--pass-stdin", stdin=ROBOT.text)
    return program


def test_an_image_comes_and_goes(
    regctl: Program, elsewhere: Workstation, name: str, layout: Layout, tmp_path: Path
) -> None:
    """Push, list, copy (mounts), pull, delete a tag and then the manifest; nothing without the login."""
    nobody = elsewhere.program("regctl")
    source = f"ocidir://{layout.path}:v1"
    assert "unauthorized" in nobody.refused("image", "copy", source, f"{name}:v1")
    regctl("image", "copy", source, f"{name}:v1")
    assert regctl("tag", "ls", name) == "v1"
    assert name.removeprefix(f"{elsewhere.host}/") in regctl("repo", "ls", elsewhere.host).splitlines()

    regctl("image", "copy", f"{name}:v1", f"{name}-copy:v2")
    regctl("image", "copy", f"{name}-copy:v2", f"ocidir://{tmp_path / 'back'}:v2")
    assert layout.same(tmp_path / "back")

    digest = regctl("image", "digest", f"{name}:v1")
    regctl("tag", "delete", f"{name}:v1")
    assert regctl("tag", "ls", name) == ""
    assert regctl("image", "digest", f"{name}@{digest}") == digest
    regctl("manifest", "delete", f"{name}@{digest}")
    assert "not found" in regctl.refused("manifest", "get", f"{name}@{digest}")


def test_blobs_by_hand(regctl: Program, name: str) -> None:
    """A blob from stdin, whose digest is told at the end, is read, looked at, copied and deleted."""
    digest = regctl("blob", "put", name, stdin="by hand\n")
    assert digest == digest_of(b"by hand\n")
    assert regctl("blob", "get", name, digest) == "by hand"
    regctl("blob", "copy", name, f"{name}-copy", digest)
    assert "Content-Length: 8" in regctl("blob", "head", f"{name}-copy", digest)
    regctl("blob", "delete", name, digest)
    assert "not found" in regctl.refused("blob", "get", name, digest)
    assert regctl("blob", "get", f"{name}-copy", digest) == "by hand"


def test_an_artifact_refers_to_an_image(regctl: Program, name: str, layout: Layout) -> None:
    """It is found among the image's referrers, by type, and travels with it; no tag stands for it."""
    regctl("image", "copy", f"ocidir://{layout.path}:v1", f"{name}:v1")
    put = ("artifact", "put", f"--subject={name}:v1")
    regctl(*put, "--artifact-type=application/spdx+json", stdin='{"spdxVersion": "SPDX-2.3"}')
    regctl(*put, "--artifact-type=application/vnd.test", "--annotation=of=test", stdin="other")
    assert regctl("tag", "ls", name) == "v1"

    def types(repository: str, *options: str) -> set[str]:
        listed = json.loads(regctl("artifact", "list", f"{repository}:v1", "--format=body", *options))
        return {descriptor["artifactType"] for descriptor in listed["manifests"]}

    assert types(name) == {"application/spdx+json", "application/vnd.test"}
    assert types(name, "--filter-artifact-type=application/vnd.test") == {"application/vnd.test"}
    assert "SPDX-2.3" in regctl(
        "artifact", "get", f"--subject={name}:v1", "--filter-artifact-type=application/spdx+json"
    )
    regctl("image", "copy", "--referrers", f"{name}:v1", f"{name}-copy:v1")
    assert types(f"{name}-copy") == types(name)
