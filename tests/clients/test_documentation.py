"""docs/clients.md says what is built here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local_cluster.parts import SOURCES

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
MODULES = {
    "containerd": "github.com/containerd/containerd/v2",
    "crane": "github.com/google/go-containerregistry",
    "regctl": "github.com/regclient/regclient",
    "oras": "oras.land/oras",
    "cosign": "github.com/sigstore/cosign/v3",
    "helm": "helm.sh/helm/v4",
}


@pytest.mark.parametrize("name", MODULES)
def test_versions(name: str) -> None:
    """The table names the version that the go.mod of the part pins."""
    pinned = re.search(rf"^\s{MODULES[name]} v(\S+)", (SOURCES / name / "go.mod").read_text(), re.MULTILINE)
    told = re.search(rf"^\| {name}\b[^|]*\| (\S+) \|", PAGE.read_text(), re.MULTILINE)
    assert pinned is not None
    assert told is not None
    assert told[1] == pinned[1]


def test_files() -> None:
    """Each test that the page names is there."""
    named = set(re.findall(r"`(test_\w+\.py)`", PAGE.read_text()))
    there = {file.name for file in Path(__file__).parent.iterdir()}
    assert named
    assert named <= there
