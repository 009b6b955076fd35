"""What the operator counts, read from its own metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.e2e.platform import OPERATOR, Platform

REQUESTS = re.compile(r"^roadstead_api_requests_total\{(?P<labels>[^}]*)\} (?P<value>\S+)$", re.MULTILINE)
READS = frozenset({"get", "list", "watch"})


@dataclass(frozen=True)
class Requests:
    """To the API server, since the operator's start; without the Lease's."""

    by_verb: Mapping[str, float]

    @property
    def all(self) -> float:
        return sum(self.by_verb.values())

    @property
    def writes(self) -> float:
        return sum(count for verb, count in self.by_verb.items() if verb not in READS)


def requests(stage: Platform) -> Requests:
    found: dict[str, float] = {}
    for series in REQUESTS.finditer(scrape(stage)):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', series["labels"]))
        if labels["resource"] != "leases":
            found[labels["verb"]] = found.get(labels["verb"], 0) + float(series["value"])
    return Requests(found)


def scrape(stage: Platform) -> str:
    name, namespace = OPERATOR
    (pod,) = stage.kubectl.list("pod", "-n", namespace, "-l", f"app.kubernetes.io/name={name}")
    path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}:8081/proxy/metrics"
    return stage.kubectl("get", "--raw", path)
