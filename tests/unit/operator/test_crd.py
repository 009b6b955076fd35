"""The CRDs as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from registry_operator.crd import crd, document, structural, write
from registry_operator.models.kinds import KINDS, Kind

CRDS = Path(__file__).parents[3] / "crds"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_files_are_what_the_models_say(kind: Kind) -> None:
    """crds/ is printed from the models: `python -m registry_operator.crd crds` after every change."""
    assert (CRDS / f"{kind.name}.yaml").read_text() == document(kind)


def test_all_kinds_are_written_and_installed(tmp_path: Path) -> None:
    """The program writes one file a kind, and kustomize names them all."""
    write(tmp_path)
    files = {file.name for file in tmp_path.iterdir()}
    assert files == {f"{kind.name}.yaml" for kind in KINDS}
    assert files == set(yaml.safe_load((CRDS / "kustomization.yaml").read_text())["resources"])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_field_says_what_it_is(kind: Kind) -> None:
    """`kubectl explain` has a sentence for each field; nothing is left of JSON schema that CRDs refuse."""
    schema = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for part in ("spec", "status"):
        for path, node in nodes(schema["properties"][part], part):
            assert node.get("description") or path.endswith(("[]", "{}")), path
            assert not {"$ref", "anyOf", "allOf", "title", "const", "$defs"} & node.keys(), path


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")
    if "additionalProperties" in node:
        yield from nodes(node["additionalProperties"], f"{path}{{}}")


def test_references_and_nulls_are_put_in_place() -> None:
    """`X | None` becomes X, a reference its definition; the field's own words win."""
    inner = {"anyOf": [{"$ref": "#/$defs/Inner"}, {"type": "null"}]}
    schema = {
        "$defs": {"Inner": {"type": "object", "title": "Inner", "description": "inner", "properties": {}}},
        "type": "object",
        "title": "Outer",
        "additionalProperties": False,
        "properties": {
            "one": {**inner, "default": None, "description": "d"},
            "two": {"const": "only", "type": "string", "default": {"a": None, "b": {}}},
        },
    }
    assert structural(schema) == {
        "type": "object",
        "properties": {
            "one": {"type": "object", "description": "d", "properties": {}},
            "two": {"type": "string", "enum": ["only"], "default": {"b": {}}},
        },
    }
