"""What manifests/monitoring/ asks Prometheus, as text: of its alerts and of its dashboards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

MONITORING = Path(__file__).parents[1] / "manifests" / "monitoring"


def alerts() -> dict[str, dict[str, Any]]:
    """Rules by the names of their alerts."""
    document = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    return {rule["alert"]: rule for group in document["spec"]["groups"] for rule in group["rules"]}


def dashboards() -> dict[str, dict[str, Any]]:
    return {file.stem: json.loads(file.read_text()) for file in (MONITORING / "dashboards").glob("*.json")}


def expressions() -> list[str]:
    """What the dashboards ask: each panel's queries."""
    return [
        target["expr"]
        for dashboard in dashboards().values()
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]


def without_variables(expression: str) -> str:
    """Grafana's variables replaced as Grafana does before Prometheus sees them."""
    return expression.replace("$__rate_interval", "5m").replace("$namespace", "x").replace("$registry", "y")
