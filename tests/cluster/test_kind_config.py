"""kind-config.yaml, judged by kind's own parser and validation: no Docker is needed for that."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from local_cluster.build import cache_root
from local_cluster.parts import TESTS, build

CONFIG = Path(__file__).parents[2] / "kind-config.yaml"
KEYLESS = Path(__file__).parents[2] / "docs" / "keyless.md"
ZONE = "topology.kubernetes.io/zone"


@pytest.fixture(scope="module")
def kindconfig() -> Path:
    wanted = [part for part in TESTS if part.name == "kindconfig"]
    return build(cache_root(), print, wanted).binary("kindconfig")


def judged(kindconfig: Path, config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([kindconfig, config], capture_output=True, text=True, check=False)


def test_kind_accepts_the_file_and_sees_three_zones(kindconfig: Path) -> None:
    """kind reads a control plane, and a worker in each of the three zones."""
    result = judged(kindconfig, CONFIG)

    assert result.returncode == 0, result.stderr
    nodes = json.loads(result.stdout)
    assert [node["role"] for node in nodes] == ["control-plane", "worker", "worker", "worker"]
    assert [node["labels"][ZONE] for node in nodes[1:]] == ["zone-a", "zone-b", "zone-c"]


def test_kind_accepts_the_way_to_keyless_pulls(kindconfig: Path, tmp_path: Path) -> None:
    """What docs/keyless.md puts in place of the nodes is read, with the same zones and the folder in each."""
    (block,) = re.findall(r"```yaml\n(kubeadmConfigPatches:.*?)```", KEYLESS.read_text(), re.DOTALL)
    change = yaml.safe_load(block)
    config = tmp_path / "kind-config.yaml"
    config.write_text(yaml.safe_dump(yaml.safe_load(CONFIG.read_text()) | change))

    result = judged(kindconfig, config)

    assert result.returncode == 0, result.stderr
    assert [node["labels"][ZONE] for node in json.loads(result.stdout)[1:]] == ["zone-a", "zone-b", "zone-c"]
    assert {mount["containerPath"] for node in change["nodes"][1:] for mount in node["extraMounts"]} == {
        "/etc/keyless"
    }


@pytest.mark.parametrize(
    ("line", "instead", "sentence"),
    [
        ("nodes:", "knots:", "field knots not found"),
        ("role: control-plane", "role: captain", "not a valid node role"),
        ("name: roadstead", "name: Road Stead", "not a valid cluster name"),
    ],
)
def test_kind_refuses_mistakes(
    kindconfig: Path, tmp_path: Path, line: str, instead: str, sentence: str
) -> None:
    """The judge is a strict one: an unknown field and an unknown role do not pass."""
    spoiled = tmp_path / "kind-config.yaml"
    spoiled.write_text(CONFIG.read_text().replace(line, instead, 1))

    result = judged(kindconfig, spoiled)

    assert result.returncode == 1
    assert sentence in result.stderr
