"""AutoscalingActive: whether the replicas follow the load. Ready does not wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_operator.checks.finding import Finding, no, unknown, yes

if TYPE_CHECKING:
    from registry_operator.observed import RegistryObserved

TYPE = "AutoscalingActive"


def check(observed: RegistryObserved) -> Finding | None:
    """None without `spec.autoscaling`."""
    wanted, seen = observed.registry.spec.autoscaling, observed.autoscaler
    if wanted is None:
        return None
    if seen is None or seen.active is None:
        return unknown(TYPE, "Pending", "the autoscaler has not looked yet")
    if not seen.active:
        return no(TYPE, "MetricsUnavailable", f"the replicas stay as many as they are: {seen.message}")
    bounds = f"between {wanted.min_replicas} and {wanted.max_replicas}"
    if seen.limit == "TooManyReplicas":
        return yes(TYPE, "AtMaximum", f"{seen.wanted} replicas, {bounds}: the load asks for more")
    return yes(TYPE, "LoadFollowed", f"{seen.wanted} replicas, {bounds}")
