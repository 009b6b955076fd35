"""helm: charts as artifacts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.replica import READER, ROBOT
from tests.clients.workstation import Program, Workstation

PARENT = """\
apiVersion: v2
name: parent
version: 1.0.0
dependencies:
  - name: harbour
    version: ">=0.1.0"
    repository: oci://{repository}
"""


def logged_in(workstation: Workstation, password: str = ROBOT.text) -> Program:
    helm = workstation.program("helm")
    helm("registry", "login", workstation.host, "--username=iamapikey", "--password-stdin", stdin=password)
    return helm


@pytest.fixture
def helm(workstation: Workstation) -> Program:
    return logged_in(workstation)


def package(helm: Program, home: Path, version: str) -> Path:
    """The chart that `helm create` makes."""
    if not (home / "harbour").exists():
        helm("create", "harbour")
    helm("package", "harbour", f"--version={version}")
    return home / f"harbour-{version}.tgz"


def test_a_chart_comes_back(
    helm: Program, workstation: Workstation, elsewhere: Workstation, name: str
) -> None:
    """Pushed, shown, rendered from the registry, and pulled by a reader, byte for byte; not by nobody."""
    charts = {version: package(helm, workstation.home, version) for version in ("0.1.0", "0.2.0+build.7")}
    nobody = elsewhere.program("helm")
    assert "401" in nobody.refused("push", charts["0.1.0"], f"oci://{name}")
    for chart in charts.values():
        assert "Digest: sha256:" in helm("push", chart, f"oci://{name}")
    assert "version: 0.1.0" in helm("show", "chart", f"oci://{name}/harbour", "--version=0.1.0")
    assert "helm.sh/chart: harbour-0.2.0_build.7" in helm("template", f"oci://{name}/harbour")

    reader = logged_in(elsewhere, READER.text)
    for version, chart in charts.items():
        reader("pull", f"oci://{name}/harbour", f"--version={version}")
        assert (elsewhere.home / chart.name).read_bytes() == chart.read_bytes()


def test_a_chart_is_another_ones_dependency(helm: Program, workstation: Workstation, name: str) -> None:
    """A range of versions is resolved by the tag list, and the chart that fits is pulled."""
    for version in ("0.1.0", "0.3.0"):
        helm("push", package(helm, workstation.home, version), f"oci://{name}")
    parent = workstation.home / "parent"
    parent.mkdir()
    (parent / "Chart.yaml").write_text(PARENT.format(repository=name))
    helm("dependency", "update", "parent")
    assert [file.name for file in (parent / "charts").iterdir()] == ["harbour-0.3.0.tgz"]
