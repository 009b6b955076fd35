"""PolicyPropagated: whether what is declared about access is in force on every replica that serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_operator.checks.finding import Finding, kept, no, unknown, yes
from registry_operator.checks.sentences import listed
from registry_operator.checks.zones import serving
from registry_operator.observed import Propagation

if TYPE_CHECKING:
    from registry_operator.desired.rendered import Rendered
    from registry_operator.observed import RegistryObserved

TYPE = "PolicyPropagated"


def propagation(observed: RegistryObserved, rendered: Rendered) -> Propagation:
    """How far the policy has come; reconciles of Namespaces and AccessTokens judge by it."""
    pods = {endpoint.pod for endpoint in serving(observed)}
    reported = {}
    for pod in sorted(pods & observed.replicas.keys()):
        state = observed.replicas[pod]
        reported[pod] = state.policy_revision if state else None
    return Propagation.of(
        rendered.draft.policy, rendered.draft.revision, reported, frozenset(pods - reported.keys())
    )


def check(observed: RegistryObserved, rendered: Rendered, found: Propagation) -> Finding:
    if rendered.draft.too_large:
        message = "the policy does not fit into its Secrets; delete AccessTokens or use another Registry"
        return no(TYPE, "PolicyTooLarge", message, mend=True)
    refused = _refused(observed, found)
    if refused:
        pods = listed(pod for pod, _ in refused)
        message = f"the policy is not in force as a whole on {pods}: {refused[0][1]}; upgrade the Registry"
        return no(TYPE, "PolicyRefused", message, mend=True)
    if found.behind:
        message = f"revision {found.revision} is not in force on {listed(found.behind)}"
        return no(TYPE, "Propagating", message)
    if found.everywhere:
        return yes(TYPE, "InForce", f"revision {found.revision} is in force on every replica that serves")
    if found.unasked and observed.registry.status.policy_revision == found.revision:
        before = kept(TYPE, observed.registry.status, observed.registry.meta.generation)
        if before:
            return before
    return unknown(TYPE, "NotReported", "no replica that serves has reported its revision yet")


def _refused(observed: RegistryObserved, found: Propagation) -> list[tuple[str, str]]:
    """Pods that could not read what they were given, each with what it says of it."""
    states = ((pod, observed.replicas[pod]) for pod in sorted(found.reported))
    return [(pod, state.policy_problem) for pod, state in states if state and state.policy_problem]


def acknowledged(observed: RegistryObserved, found: Propagation) -> tuple[str, ...]:
    """Pods that report this revision; one that was not asked yet counts by what it said before."""
    said = observed.registry.status.policy_acknowledged_by
    same = observed.registry.status.policy_revision == found.revision
    before = found.unasked.intersection(said) if same else frozenset()
    return tuple(sorted({*found.reported, *before} - set(found.behind)))
