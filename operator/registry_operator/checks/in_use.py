"""InUse: whether a Registry's deletion would hurt; an admission policy refuses it then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_operator.checks.finding import Finding, no, yes
from registry_operator.checks.sentences import listed
from registry_operator.desired.deletion import goes

if TYPE_CHECKING:
    from registry_operator.observed import RegistryObserved

TYPE = "InUse"


def check(observed: RegistryObserved) -> Finding | None:
    """None before the first look at the pods; what was said before stands until then, whatever changed."""
    guests = _guests(observed)
    if guests:
        message = (
            f"with deletionPolicy Delete the images of other accounts would be deleted, too: {listed(guests)}"
        )
        return yes(TYPE, "HoldsContentOfOthers", message)
    running = observed.running
    if running is None:
        before = observed.registry.status.condition(TYPE)
        known = before is not None and before.status != "Unknown"
        return Finding(TYPE, before.status, before.reason, before.message) if before and known else None
    if running.pods:
        own = f", such as {listed(running.own)}" if running.own else ", in other Kubernetes namespaces"
        many = f"{running.pods} pods run" if running.pods > 1 else "1 pod runs"
        return yes(TYPE, "ImagesRun", f"{many} images of this Registry{own}")
    return no(TYPE, "NoImageRuns", "no pod runs an image of this Registry")


def _guests(observed: RegistryObserved) -> list[str]:
    """Names that other accounts hold, in a Registry whose content goes with it."""
    if not goes(observed.registry):
        return []
    own = observed.registry.meta.namespace
    bound = ((one, one.status.condition("Bound")) for one in observed.namespaces)
    return sorted(
        f"{one.spec.name} of {one.meta.namespace}"
        for one, condition in bound
        if one.meta.namespace != own and condition is not None and condition.status == "True"
    )
