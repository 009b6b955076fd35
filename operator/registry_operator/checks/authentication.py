"""Whether those who vouch for identities can be asked, where a Registry takes their word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_operator import names
from registry_operator.checks.finding import Finding, kept, no, unknown, yes
from registry_operator.checks.sentences import listed

if TYPE_CHECKING:
    from registry_operator.observed import RegistryObserved
    from registry_runtime.contract.state import ReplicaState

REVIEWS, ISSUERS = "AuthenticationReady", "IssuersAnswer"
LONGEST = 300  # characters of what a replica says


def reviews(observed: RegistryObserved) -> Finding | None:
    """Whether the replicas may have ServiceAccount tokens reviewed; None where none is."""
    declared = observed.registry.spec.authentication.kubernetes
    if declared is None or not declared.review:
        return None
    states = _states(observed).values()
    if any(state.reviews_tokens is False for state in states):
        command = names.token_review(observed.registry)
        message = f"the replicas may not have tokens reviewed: keyless pulls are refused; run:\n{command}"
        return no(REVIEWS, "TokenReviewNotPermitted", message, mend=True)
    if any(state.reviews_tokens for state in states):
        return yes(REVIEWS, "TokensReviewed", "the replicas may ask the API server about each token")
    return _unreported(observed, REVIEWS, "no replica has reported yet whether it may have tokens reviewed")


def issuers(observed: RegistryObserved) -> Finding | None:
    """Whether the issuers of ID tokens say their keys to the replicas; None where no issuer is declared.

    A Registry is Ready without: passwords work, and keys that are known stay in use while an issuer is away.
    """
    declared = {one.name: one.issuer for one in observed.registry.spec.authentication.oidc}
    if not declared:
        return None
    states = _states(observed)
    for name, issuer in declared.items():
        away = {pod: problem for pod, state in states.items() if (problem := state.issuers.get(name))}
        if away:
            message = (
                f"{name} ({issuer}) does not say its keys to {listed(away)}: {min(away.values())[:LONGEST]}; "
                "keys that are known stay in use for six hours; if it is not away, correct issuer or caBundle"
            )
            return no(ISSUERS, "IssuerAway", message)
    if any(declared.keys() <= state.issuers.keys() for state in states.values()):
        return yes(ISSUERS, "KeysKnown", f"the keys of {listed(declared)} are known")
    return _unreported(observed, ISSUERS, "no replica has reported yet whether the issuers answer")


def _states(observed: RegistryObserved) -> dict[str, ReplicaState]:
    """By pod, what those say that are not ending."""
    pods = sorted(one.pod for one in observed.endpoints if not one.terminating)
    return {pod: state for pod in pods if (state := observed.replicas.get(pod)) is not None}


def _unreported(observed: RegistryObserved, kind: str, message: str) -> Finding:
    """What was said before holds where some replica was not asked yet, as after a restart of the operator."""
    before = kept(kind, observed.registry.status, observed.registry.meta.generation)
    pods = {one.pod for one in observed.endpoints if not one.terminating}
    return before if before and pods - observed.replicas.keys() else unknown(kind, "NotReported", message)
