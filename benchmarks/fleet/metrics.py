"""What the operator counts, read from its own metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from registry_runtime.contract.exposition import read
from tests.e2e.platform import OPERATOR, Platform

REQUESTS = "roadstead_api_requests_total"
READS = frozenset({"get", "list", "watch"})


@dataclass(frozen=True)
class Requests:
    """To the API server, since the operator's start or another moment; without the Lease's."""

    counts: Mapping[tuple[str, str], float]  # by verb and resource

    @property
    def all(self) -> float:
        return sum(self.counts.values())

    @property
    def writes(self) -> float:
        return sum(count for (verb, _), count in self.counts.items() if verb not in READS)

    @property
    def written(self) -> str:
        """What was written, and how often."""
        found = {place: round(count) for place, count in self.counts.items() if place[0] not in READS}
        return ", ".join(f"{count} {verb} {what}" for (verb, what), count in sorted(found.items()) if count)

    def since(self, before: Requests) -> Requests:
        return Requests({place: count - before.counts.get(place, 0) for place, count in self.counts.items()})


def requests(stage: Platform) -> Requests:
    found: dict[tuple[str, str], float] = {}
    for one in read(scrape(stage)):
        if one.name == REQUESTS and one.labels["resource"] != "leases":
            place = one.labels["verb"], one.labels["resource"]
            found[place] = found.get(place, 0) + one.value
    return Requests(found)


def scrape(stage: Platform) -> str:
    (pod,) = stage.operators()
    path = f"/api/v1/namespaces/{OPERATOR[1]}/pods/{pod['metadata']['name']}:8081/proxy/metrics"
    return stage.kubectl("get", "--raw", path)
