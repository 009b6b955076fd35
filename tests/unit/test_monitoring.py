"""Alerts and dashboards speak of metrics that there are, and each alert has a runbook."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from registry_operator.metrics import Metrics

from registry_runtime.metrics import Metrics as RuntimeMetrics
from tests.monitoring import alerts, dashboards, expressions, without_variables

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks.md"
FAMILIES = {one.name: one for one in (*RuntimeMetrics().families(), *Metrics().families())}
BY_PROMETHEUS = {"namespace", "registry", "pod", "job", "instance", "le"}
SERIES = re.compile(r"\b((?:roadstead|process|python)_[a-z0-9_]+)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
QUERIES = [*(rule["expr"] for rule in alerts().values()), *map(without_variables, expressions())]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_of_metrics_that_there_are(query: str) -> None:
    """Each name is declared, and each label is one of its metrics or of Prometheus' own."""
    found = SERIES.findall(query)
    assert found
    known = set(BY_PROMETHEUS)
    for name, matchers in found:
        family = FAMILIES.get(name) or FAMILIES[re.sub(r"_(bucket|sum|count)$", "", name)]
        assert (family.kind == "histogram") == (family.name != name)
        labels = {*family.labels, *BY_PROMETHEUS}
        assert set(re.findall(r"(\w+)\s*[=!]~?", matchers)) <= labels
        known |= labels
    for group in GROUPED.findall(query):
        assert set(re.split(r",\s*", group)) <= known
    if any(FAMILIES.get(name) is not None and FAMILIES[name].kind == "counter" for name, _ in found):
        assert re.search(r"\b(rate|increase)\(", query), "a counter alone says nothing"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    """The link of each alert leads to a section of docs/runbooks.md, and no section is left over."""
    sections = set(re.findall(r"^## (Roadstead\w+)$", RUNBOOKS.read_text(), re.MULTILINE))
    assert sections == set(alerts())
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook_url"].endswith(f"/docs/runbooks.md#{name.lower()}")
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["summary"].endswith(".")


def test_dashboards_can_be_imported() -> None:
    """Each has an identity of its own, and asks the source that whoever looks at it has chosen."""
    found = dashboards()
    assert set(found) == {"fleet", "registry", "operator"}
    assert len({one["uid"] for one in found.values()}) == len(found)
    for one in found.values():
        assert len({panel["id"] for panel in one["panels"]}) == len(one["panels"])
        assert {panel["datasource"]["uid"] for panel in one["panels"]} == {"${datasource}"}
