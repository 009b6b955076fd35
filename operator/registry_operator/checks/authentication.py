"""AuthenticationReady: whether the replicas can have tokens reviewed, where the Registry asks for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_operator import names
from registry_operator.checks.finding import Finding, kept, no, unknown, yes

if TYPE_CHECKING:
    from registry_operator.observed import RegistryObserved

TYPE = "AuthenticationReady"


def check(observed: RegistryObserved) -> Finding | None:
    """None where no token is reviewed."""
    declared = observed.registry.spec.authentication.kubernetes
    if declared is None or not declared.review:
        return None
    pods = {endpoint.pod for endpoint in observed.endpoints if not endpoint.terminating}
    states = [state for pod in sorted(pods) if (state := observed.replicas.get(pod)) is not None]
    if any(state.reviews_tokens is False for state in states):
        command = names.token_review(observed.registry)
        message = f"the replicas may not have tokens reviewed: keyless pulls are refused; run:\n{command}"
        return no(TYPE, "TokenReviewNotPermitted", message, mend=True)
    if any(state.reviews_tokens for state in states):
        return yes(TYPE, "TokensReviewed", "the replicas may ask the API server about each token")
    before = kept(TYPE, observed.registry.status, observed.registry.meta.generation)
    if before and pods - observed.replicas.keys():
        return before
    return unknown(TYPE, "NotReported", "no replica has reported yet whether it may have tokens reviewed")
