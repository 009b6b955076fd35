"""docs/fields.md: every field, with all that the CRDs say of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from registry_operator.crd import schema
from registry_operator.fields import section
from registry_operator.models.kinds import KINDS, Kind


def paths(node: dict[str, Any], path: str) -> Iterator[str]:
    for name, inner in node.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from paths(inner, f"{path}.{name}")
    if "items" in node:
        yield from paths(node["items"], f"{path}[]")
    if "additionalProperties" in node:
        yield from paths(node["additionalProperties"], f"{path}.*")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_each_field_has_one_line(kind: Kind) -> None:
    """Those of every depth, and no others, each with four cells."""
    printed = section(kind)
    lines = [line for line in printed.splitlines() if line.startswith(("| `", "| [`"))]
    told = re.findall(r"^\| \[?`([^`]+)`", printed, re.MULTILINE)
    whole = schema(kind)["properties"]
    there = [path for part in ("spec", "status") for path in paths(whole[part], part)]
    assert sorted(told) == sorted(there)
    assert all(len(re.split(r"(?<!\\)\|", line)) == 6 for line in lines)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_each_link_leads_to_a_table(kind: Kind) -> None:
    """The headings have the anchors that GitHub makes of them."""
    printed = section(kind)
    slugs = {
        line[4:].lower().replace(".", "").replace(" ", "-") for line in printed.splitlines() if "### " in line
    }
    linked = set(re.findall(r"\(#([^)]+)\)", printed))
    assert linked
    assert linked <= slugs


def test_a_field_is_told_with_its_limits_default_and_rules() -> None:
    """A Registry's hostname, replicas and storage, as a reader looks them up."""
    printed = section(next(kind for kind in KINDS if kind.kind == "Registry"))
    assert "| `spec.replicas` | integer | `3` | How many replicas serve" in printed
    assert "| `spec.hostname` | string | required | Host name of the public domain" in printed
    assert "3 to 245 characters; a host name in lower case, with a dot. |" in printed
    assert "- Refused: spec.privateHostname must differ from spec.hostname." in printed
    assert r"private.\<hostname>" in printed  # no tag of HTML


def test_every_rule_stands_there() -> None:
    """Each sentence that the API server may answer."""
    for kind in KINDS:
        printed = section(kind).replace("\\", "")
        for message in messages(schema(kind)):
            assert message in printed, message


def messages(node: dict[str, Any]) -> Iterator[str]:
    yield from (rule["message"] for rule in node.get("x-kubernetes-validations", ()))
    for inner in (*node.get("properties", {}).values(), node.get("items"), node.get("additionalProperties")):
        if inner:
            yield from messages(inner)
