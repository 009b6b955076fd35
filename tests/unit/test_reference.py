"""The pages of docs/ that are printed from the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from registry_operator.metrics import Metrics
from registry_operator.reference import pages

from registry_runtime.contract.exposition import Family
from registry_runtime.metrics import Metrics as RuntimeMetrics

DOCS = Path(__file__).parents[2] / "docs"
FAMILIES = [*RuntimeMetrics().families(), *Metrics().families()]
BASE_UNITS = ("_seconds", "_bytes")
OTHER_UNITS = re.compile(r"_(ms|milliseconds|minutes|kb|mb|mib|count|sum|bucket)$")
PEOPLE = {"repository", "user", "username", "who", "token", "tag", "digest", "path", "client"}


@pytest.mark.parametrize("name", pages())
def test_a_printed_page_is_what_the_code_prints(name: str) -> None:
    """`make docs` would change nothing."""
    assert (DOCS / name).read_text() == pages()[name]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda one: one.name)
def test_a_metric_follows_the_conventions(family: Family) -> None:
    """Its name, its unit, its help, and labels that cannot become many."""
    assert re.fullmatch(r"(roadstead|process|python)_[a-z0-9_]+", family.name)
    assert family.name.endswith("_total") == (family.kind == "counter")
    assert family.kind != "histogram" or family.name.endswith("_seconds")
    assert not OTHER_UNITS.search(family.name)
    assert family.meaning.endswith(".")
    assert not PEOPLE & set(family.labels)


def test_no_two_metrics_of_a_program_have_a_name() -> None:
    """A second family of a name would make the page invalid."""
    for program in (RuntimeMetrics(), Metrics()):
        names = [one.name for one in program.families()]
        assert len(names) == len(set(names))
