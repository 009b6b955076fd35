"""Globs over repository names."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_runtime.auth.globs import matches


@pytest.mark.parametrize(
    ("glob", "name", "expected"),
    [
        ("team/app", "team/app", True),
        ("team/app", "team/app2", False),
        ("team/*", "team/app", True),
        ("team/*", "team/app/web", False),
        ("team/*", "team", False),
        ("team/*/web", "team/app/web", True),
        ("team/*/web", "team/a/b/web", False),
        ("team/**", "team/a/b/web", True),
        ("team/**", "team", False),
        ("team/**", "teams/a", False),
        ("**", "anything/at/all", True),
        ("*", "one", True),
        ("*", "one/two", False),
        ("**/web", "team/a/web", True),
        ("team/**/x*/y", "team/a/b/xc/y", True),
        ("team/**/x*/y", "team/a/b/xc/d/y", False),
        ("", "", True),
        ("", "a", False),
        ("team/app.*", "team/appx1", False),
        ("team/***", "team/a/b", True),
    ],
)
def test_examples(glob: str, name: str, expected: bool) -> None:
    """A star stays within a component, two span several, and nothing else is special."""
    assert matches(glob, name) is expected


@given(st.text("ab/*.", max_size=12), st.text("ab/.", max_size=12))
def test_agrees_with_a_regular_expression(glob: str, name: str) -> None:
    """The bit set finds what a backtracking matcher of the same meaning finds."""
    parts = re.split(r"(\*+)", glob)
    meaning = "".join(
        re.escape(part) if not part.startswith("*") else "[^/]*" if part == "*" else ".*" for part in parts
    )
    assert matches(glob, name) is (re.fullmatch(meaning, name) is not None)


def test_no_glob_takes_for_ever() -> None:
    """Globs that make backtracking matchers explode answer at once."""
    name = "a" * 250
    started = time.perf_counter()
    for stars in range(1, 60):
        assert not matches("a*" * stars + "b", name)
        assert not matches("a**" * stars + "b", name)
    assert time.perf_counter() - started < 2
