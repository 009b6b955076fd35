"""docs/access.md says what is there: reasons, roles, requests, and the tests that prove it."""

from __future__ import annotations

import ast
import inspect
import re
from unittest.mock import Mock

import pytest
from registry_operator.desired.access import ROLES

from registry_runtime.app import registry_app
from registry_runtime.auth.decision import Decision, Reason
from registry_runtime.auth.identity import Endpoint
from registry_runtime.contract.policy import Action
from registry_runtime.repository.use import Refusal
from tests.documents import DOCS, ROOT, quoted, rows

DOCUMENT = DOCS / "access.md"
TESTS = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
PROVED = ["## What is promised, and what proves it", "## Attacks"]


def answer(reason: Reason) -> str:
    """What a client is told first of a decision with this reason."""
    decision = Decision(reason, Endpoint.PUBLIC, None, Action.PULL)
    if decision.allowed:
        return "yes"
    return "401" if decision.other_credentials_may_help or reason.startswith("IdToken") else "403"


def test_every_reason_is_explained_with_its_answer() -> None:
    """And none that does not exist; what is no yes has a remedy."""
    explained = {quoted(cells[0])[0]: cells for cells in rows(DOCUMENT, "## How it is decided")}
    assert explained.keys() == {*Reason, *Refusal}
    for word, (_, told, meaning, remedy) in explained.items():
        assert told == (answer(Reason(word)) if word in set(Reason) else "403"), word
        assert meaning
        assert remedy or told == "yes"


def test_roles_are_what_the_operator_renders() -> None:
    """A column for each action, in words that the policy has."""
    table = {cells[0]: cells[1:] for cells in rows(DOCUMENT, "## Roles")}
    columns = ("pull", "list", "push", "delete")
    said = {
        role: {Action(column) for column, cell in zip(columns, cells, strict=True) if cell == "yes"}
        for role, cells in table.items()
    }
    assert said == ROLES
    assert set(columns) == set(Action)


def test_every_request_stands_in_the_table() -> None:
    """Each URL of the application with each of its methods, and none besides; `/token` has a sentence."""
    parameters = inspect.signature(registry_app).parameters
    front = registry_app(**{name: Mock() for name in parameters})
    routes = vars(vars(front)["_app"])["_routes"]
    there = {
        (pattern.pattern, method) for pattern, _, resource in routes for method in vars(resource)["_handlers"]
    }
    said = set()
    for cells in rows(DOCUMENT, "## What each request needs"):
        *methods, path = quoted(cells[0])
        place = re.sub("<[a-z]+>", "x", path.partition("?")[0])
        pattern = next(pattern for pattern, *_ in routes if pattern.match(place))
        said |= {(pattern.pattern, method) for method in methods}
    same = {"^/v2$": "^/v2/$", "^/v2/(?P<name>.*)/blobs/uploads$": "^/v2/(?P<name>.*)/blobs/uploads/$"}
    assert said == {(same.get(place, place), method) for place, method in there if place != "^/token$"}


@pytest.mark.parametrize("heading", PROVED)
def test_every_line_names_its_proof(heading: str) -> None:
    """At least one test."""
    lines = rows(DOCUMENT, heading)
    assert len(lines) > 15
    for cells in lines:
        assert all(cells)
        assert TESTS.findall(cells[-1]), cells[0]


def test_every_test_that_is_named_exists() -> None:
    """In the file, under that name: in all of the documentation."""
    named = {found for document in DOCS.glob("**/*.md") for found in TESTS.findall(document.read_text())}
    assert len(named) > 30
    for file, name in sorted(named):
        functions = ast.walk(ast.parse((ROOT / file).read_text()))
        assert name in {
            one.name for one in functions if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
        }


def test_links_lead_somewhere() -> None:
    """To files of the repository."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", DOCUMENT.read_text()):
        assert (DOCS / target).resolve().exists(), target
