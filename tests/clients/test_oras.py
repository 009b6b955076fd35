"""oras: artifacts, what is attached to them, and how it is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.replica import READER, ROBOT
from tests.clients.workstation import Program, Workstation

API = "--distribution-spec=v1.1-referrers-api"  # instead of tags made from digests
SBOM = "application/spdx+json"
SIGNATURE = "application/vnd.test.signature"


def logged_in(workstation: Workstation, password: str = ROBOT.text) -> Program:
    oras = workstation.program("oras")
    oras("login", "--username=iamapikey", "--password-stdin", workstation.host, stdin=password)
    return oras


@pytest.fixture
def oras(workstation: Workstation) -> Program:
    return logged_in(workstation)


@pytest.fixture
def files(workstation: Workstation) -> Path:
    """The home, where oras runs, with files to push."""
    workstation.home.mkdir(exist_ok=True)
    for file, content in {"chart.bin": "an artifact\n", "sbom.json": "{}\n", "signature": "signed\n"}.items():
        (workstation.home / file).write_text(content)
    return workstation.home


def discovered(oras: Program, reference: str, *options: str) -> Any:
    """All referrers, of referrers too."""
    return json.loads(oras("discover", API, "--format=json", *options, reference))["referrers"]


def test_an_artifact_comes_and_goes(oras: Program, elsewhere: Workstation, name: str, files: Path) -> None:
    """Files with their names and annotations are pushed and pulled; a reader pulls, but may not push."""
    assert "unauthorized" in elsewhere.program("oras").refused("manifest", "fetch", f"{name}:v1")
    push = ("push", "--artifact-type=application/vnd.test", "--annotation=of=test", f"{name}:v1,latest")
    oras(*push, "chart.bin:application/vnd.test.chart")
    assert oras("repo", "tags", name).splitlines() == ["latest", "v1"]
    assert name.rpartition("/")[2] in oras("repo", "ls", f"{elsewhere.host}/team/").splitlines()
    manifest = json.loads(oras("manifest", "fetch", f"{name}:v1"))
    assert manifest["artifactType"] == "application/vnd.test"
    assert manifest["annotations"]["of"] == "test"

    reader = logged_in(elsewhere, READER.text)
    reader("pull", f"--output={elsewhere.home}", f"{name}:v1")
    assert (elsewhere.home / "chart.bin").read_bytes() == (files / "chart.bin").read_bytes()
    assert "denied" in reader.refused("tag", f"{name}:v1", "stolen").lower()

    oras("manifest", "delete", "--force", f"{name}@{oras('resolve', f'{name}:v1')}")
    assert "name unknown" in oras.refused("repo", "tags", name)


def test_what_is_attached_is_discovered(oras: Program, name: str, files: Path) -> None:
    """An SBOM of the artifact, and a signature of that: a tree, found by the referrers API and by type."""
    oras("push", f"{name}:v1", "chart.bin")
    attached = oras("attach", API, f"--artifact-type={SBOM}", "--format=json", f"{name}:v1", "sbom.json")
    sbom = json.loads(attached)["digest"]
    oras("attach", API, f"--artifact-type={SIGNATURE}", f"{name}@{sbom}", "signature")

    (found,) = discovered(oras, f"{name}:v1")
    assert (found["artifactType"], found["digest"]) == (SBOM, sbom)
    assert [child["artifactType"] for child in found["referrers"]] == [SIGNATURE]
    assert discovered(oras, f"{name}:v1", f"--artifact-type={SIGNATURE}") == []
    assert oras("repo", "tags", name) == "v1"


def test_a_copy_takes_the_tree_along(oras: Program, name: str, files: Path) -> None:
    """`cp -r` brings referrers into another repository, and back from a layout on the disk."""
    oras("push", f"{name}:v1", "chart.bin")
    oras("attach", API, f"--artifact-type={SBOM}", f"{name}:v1", "sbom.json")
    layout = files / "saved"
    oras("cp", "--recursive", f"{name}:v1", f"{name}-copy:v1")
    oras("cp", "--recursive", "--to-oci-layout", f"{name}-copy:v1", f"{layout}:v1")
    oras("cp", "--recursive", "--from-oci-layout", f"{layout}:v1", f"{name}-back:v1")
    for repository in (f"{name}-copy", f"{name}-back"):
        assert [one["artifactType"] for one in discovered(oras, f"{repository}:v1")] == [SBOM]


def test_what_refers_can_go_alone(oras: Program, name: str, files: Path) -> None:
    """A referrer that is deleted is discovered no more; its subject stays."""
    oras("push", f"{name}:v1", "chart.bin")
    attached = oras("attach", API, f"--artifact-type={SBOM}", "--format=json", f"{name}:v1", "sbom.json")
    oras("manifest", "delete", "--force", f"{name}@{json.loads(attached)['digest']}")
    assert discovered(oras, f"{name}:v1") == []
    oras("pull", f"--output={files / 'back'}", f"{name}:v1")
    assert (files / "back" / "chart.bin").exists()


def test_a_backup_is_restored(oras: Program, name: str, files: Path) -> None:
    """`backup` and `restore` of a repository, with its referrers, through an archive."""
    oras("push", f"{name}:v1", "chart.bin")
    oras("attach", API, f"--artifact-type={SBOM}", f"{name}:v1", "sbom.json")
    oras("backup", "--include-referrers", f"--output={files / 'backup.tar'}", f"{name}:v1")
    oras("restore", f"--input={files / 'backup.tar'}", f"{name}-restored:v1")
    assert [one["artifactType"] for one in discovered(oras, f"{name}-restored:v1")] == [SBOM]
