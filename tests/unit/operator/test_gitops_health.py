"""docs/examples/argo-cd: the health check for Argo CD says what kstatus says."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from lupa import LuaRuntime

from tests.unit.operator.kstatus import compute

PATCH = Path(__file__).parents[3] / "docs" / "examples" / "argo-cd" / "health.yaml"
TYPES = ("Ready", "Reconciling", "Stalled")
MEANS = {"Current": "Healthy", "InProgress": "Progressing", "Failed": "Degraded"}


def script() -> str:
    """As Argo CD reads it from its ConfigMap."""
    customizations = yaml.safe_load(yaml.safe_load(PATCH.read_text())["data"]["resource.customizations"])
    return str(customizations["roadstead.dev/*"]["health.lua"])


def resources() -> Iterator[dict[str, Any]]:
    """Every combination of the conditions that count, in any order, of any generation."""
    for generation in (-1, 1, 2):
        for order in itertools.permutations(TYPES):
            for values in itertools.product(("True", "False", "Unknown"), repeat=3):
                said = [
                    {"type": kind, "status": value, "message": "why"}
                    for kind, value in zip(order, values, strict=True)
                ]
                status = {"observedGeneration": generation, "conditions": said}
                yield {"metadata": {"generation": 2}, "status": status}
    yield {"metadata": {"generation": 1}, "status": {"observedGeneration": -1}}


def test_argo_cd_says_what_kstatus_says() -> None:
    """Of every status that there can be; of none at all that it is waited for."""
    lua = LuaRuntime()
    health = lua.eval(f"function(resource) obj = resource; {script()} end")
    for resource in resources():
        read = health(lua.table_from(resource, recursive=True))
        assert read["status"] == MEANS[compute(resource)], resource
    assert health(lua.table_from({"metadata": {"generation": 1}}, recursive=True))["status"] == "Progressing"
