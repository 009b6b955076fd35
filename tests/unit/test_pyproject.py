"""pyproject.toml: what is imported is declared, and what is declared has bounds."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = DOCUMENT["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
OWN = {"registry_operator", "registry_runtime"}


def distribution(requirement: str) -> str:
    """The normalized name in a requirement (PEP 503)."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def imported(folder: Path) -> Iterator[str]:
    """Top-level packages that run, so not what only the type checker sees."""
    for file in folder.rglob("*.py"):
        yield from imports(ast.parse(file.read_text()))


def imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (one.name.partition(".")[0] for one in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module.partition(".")[0]
    for child in ast.iter_child_nodes(node):
        yield from imports(child)


@pytest.mark.parametrize(
    ("folder", "extras"),
    [("operator/registry_operator", ["operator"]), ("registry_runtime", ["runtime", "tracing"])],
)
def test_what_is_imported_is_declared(folder: str, extras: list[str]) -> None:
    """Nothing is there only because something else happens to need it."""
    others = set(imported(ROOT / folder)) - sys.stdlib_module_names - OWN
    providers = packages_distributions()
    optional = [one for extra in extras for one in EXTRAS[extra]]
    declared = {distribution(one) for one in (*PROJECT["dependencies"], *optional)}
    assert others
    for package in others:  # several distributions may bring parts of one package
        assert declared & {distribution(one) for one in providers[package]}, package


def test_every_dependency_has_bounds() -> None:
    """Below and above: a new major version comes by a commit of ours."""
    wanted = [*PROJECT["dependencies"], *(one for extra in EXTRAS.values() for one in extra)]
    assert [one for one in wanted if not re.search(r">=[\d.]+,<[\d.]+$", one)] == []


def test_a_rule_is_ignored_once_and_with_a_reason() -> None:
    """Each on a line of its own."""
    text = (ROOT / "pyproject.toml").read_text()
    listed = text[text.index("ignore = [") :].partition("\n]")[0].splitlines()[1:]
    rules = [line.split('"')[1] for line in listed]
    assert sorted(rules) == sorted(set(rules)) == sorted(DOCUMENT["tool"]["ruff"]["lint"]["ignore"])
    assert [line for line in listed if not re.search(r'",\s+# \S', line)] == []
