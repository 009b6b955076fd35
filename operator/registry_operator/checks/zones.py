"""ZoneRedundant and Available: where replicas serve, as the Service's endpoints say."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from registry_operator.checks.finding import Finding, no, unknown, yes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry_operator.observed import Endpoint, RegistryObserved

REDUNDANT = "ZoneRedundant"
AVAILABLE = "Available"


def serving(observed: RegistryObserved) -> tuple[Endpoint, ...]:
    """The endpoints that new connections are sent to."""
    return tuple(endpoint for endpoint in observed.endpoints if endpoint.ready and not endpoint.terminating)


def zones(observed: RegistryObserved) -> dict[str, int]:
    """Serving replicas by zone. A zone that had one stays with 0 until enough others serve."""
    counts = Counter(endpoint.zone for endpoint in serving(observed) if endpoint.zone)
    if len(counts) >= observed.registry.spec.zones.minimum:
        return dict(sorted(counts.items()))
    had = (*observed.registry.status.zones, *(endpoint.zone for endpoint in observed.endpoints))
    return {zone: counts[zone] for zone in sorted({*counts, *filter(None, had)})}


def redundant(observed: RegistryObserved, counts: Mapping[str, int]) -> Finding:
    minimum = observed.registry.spec.zones.minimum
    serve = [zone for zone, count in counts.items() if count]
    if not observed.endpoints and observed.rollout is None:
        return unknown(REDUNDANT, "Pending", "there are no replicas yet")
    if serving(observed) and not serve:
        message = "the nodes carry no label topology.kubernetes.io/zone, so zones are not known"
        return unknown(REDUNDANT, "ZonesUnknown", message)
    if len(serve) < minimum:
        lost = [zone for zone, count in counts.items() if not count]
        without = f": {', '.join(lost)} {'has' if len(lost) == 1 else 'have'} none" if lost else ""
        return no(REDUNDANT, "ZoneWithoutReplica", f"{len(serve)} of {minimum} zones serve{without}")
    if len(serve) == 1:
        message = f"all replicas are in {serve[0]}: spec.zones.minimum asks for no more"
        return no(REDUNDANT, "SingleZone", message)
    return yes(REDUNDANT, "ZonesServe", f"{len(serve)} zones serve: {', '.join(serve)}")


def available(observed: RegistryObserved) -> Finding:
    if serving(observed):
        return yes(AVAILABLE, "ReplicasServe", "pulls and pushes are served")
    if not observed.endpoints and observed.rollout is None:
        return unknown(AVAILABLE, "Pending", "there are no replicas yet")
    return no(AVAILABLE, "NoReplicaServes", "no replica is ready; see StorageReady, TLSReady and Ready")
