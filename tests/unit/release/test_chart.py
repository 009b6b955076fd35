"""manifests/chart is what manifests/ says, and nothing in it is forgotten."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest
import yaml

from release import chart, manifests, values

ROOT = manifests.ROOT.parent
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
WRITTEN = chart.chart(VERSION)


def test_the_chart_is_made_from_the_manifests() -> None:
    """What is committed is what `make crds` writes now: no second truth."""
    folder = manifests.ROOT / "chart"
    there = {str(one.relative_to(folder)): one.read_text() for one in folder.rglob("*") if one.is_file()}
    assert there == WRITTEN, "run `make crds` and commit"


def leaves(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict) and value:
        return {leaf for name, inner in value.items() for leaf in leaves(inner, f"{path}.{name}")}
    return {path}


def test_every_value_is_used_and_in_the_schema() -> None:
    """A value that does nothing is a lie; one that the schema does not know could not be set."""
    templates = "".join(text for name, text in WRITTEN.items() if name.startswith("templates/"))
    named = set(re.findall(r"\.Values((?:\.\w+)+)", templates))
    for leaf in leaves(yaml.safe_load(WRITTEN["values.yaml"])):
        assert any(leaf == one or leaf.startswith(f"{one}.") for one in named), leaf
        known = values.schema()
        for name in leaf.strip(".").split("."):
            if "properties" not in known:
                break
            known = known["properties"][name]


def test_the_schema_refuses_what_is_misspelt() -> None:
    """Each object of ours is closed."""
    schema = json.loads(WRITTEN["values.schema.json"])
    for part in (schema, schema["properties"]["images"], schema["properties"]["operator"]):
        assert part["additionalProperties"] is False


def test_what_helm_would_take_for_its_own_is_refused() -> None:
    """A manifest with braces would be rendered as something else."""
    obj = {"kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "{{ .Values }}"}}
    with pytest.raises(ValueError, match="ConfigMap x"):
        chart.template(obj)


def test_an_uninstall_keeps_every_crd() -> None:
    """With a CRD all its resources would go."""
    for name, text in WRITTEN.items():
        if name.endswith(".roadstead.dev.yaml"):
            assert "helm.sh/resource-policy: keep" in text, name
