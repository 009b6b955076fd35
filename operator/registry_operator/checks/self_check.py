"""SelfCheckPassed: whether each replica that serves has pushed and pulled through its own endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_operator.checks.finding import Finding, kept, no, unknown, yes
from registry_operator.checks.sentences import listed
from registry_operator.checks.zones import serving
from registry_runtime.contract.state import SelfCheckReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from registry_operator.observed import Endpoint, RegistryObserved
    from registry_runtime.contract.state import ReplicaState, SelfCheckState

TYPE = "SelfCheckPassed"
LONGEST = 600  # characters of what a replica says


def check(observed: RegistryObserved) -> Finding | None:
    """None where all that serve are of an older runtime, which makes no such check.

    A replica that did not answer has not passed: it may be cut off with its zone.
    """
    serve = serving(observed)
    if not serve:
        return unknown(TYPE, "Pending", "no replica serves yet")
    asked = {one: observed.replicas[one.pod] for one in serve if one.pod in observed.replicas}
    states = {one: state.self_check for one, state in asked.items() if state and state.self_check}
    for reason in (SelfCheckReason.FAILED, SelfCheckReason.LATE):
        bad = {one: state for one, state in states.items() if state.reason is reason}
        if bad:
            return no(TYPE, reason, _sentence(bad))
    missing = _missing(asked, states)
    unasked = [one for one in serve if one not in asked]
    if missing is None and unasked:
        return _before(observed, unasked)
    return missing or (_passed(states) if states else None)


def _missing(
    asked: Mapping[Endpoint, ReplicaState | None], states: Mapping[Endpoint, SelfCheckState]
) -> Finding | None:
    """Of replicas that have not said that they passed."""
    silent = [one for one, state in asked.items() if state is None]
    if silent:
        return unknown(TYPE, "NotReported", f"{_places(silent)} did not answer the operator")
    checking = [one for one, state in states.items() if state.reason is SelfCheckReason.CHECKING]
    if checking:
        return unknown(TYPE, SelfCheckReason.CHECKING, f"the first check of {_places(checking)} is not over")
    return None


def _passed(states: Mapping[Endpoint, SelfCheckState]) -> Finding:
    return yes(TYPE, SelfCheckReason.PASSED, f"a push and a pull went through {_places(states)}")


def _before(observed: RegistryObserved, unasked: Iterable[Endpoint]) -> Finding | None:
    """After a restart of the operator: what was said holds of the replicas that it was said of.

    Those had acknowledged the policy; of one that is new nothing is known. And so does Ready hold that was
    said before there was this check.
    """
    status, generation = observed.registry.status, observed.registry.meta.generation
    new = [one for one in unasked if one.pod not in status.policy_acknowledged_by]
    before, ready = kept(TYPE, status, generation), kept("Ready", status, generation)
    if new or not (before or (status.condition(TYPE) is None and ready and ready.status == "True")):
        return unknown(TYPE, "NotReported", f"{_places(new or unasked)} has not reported its check yet")
    return before


def _sentence(bad: Mapping[Endpoint, SelfCheckState]) -> str:
    """Where it fails, and what the first of them met."""
    first = min(bad, key=lambda one: one.pod)
    return f"{_places(bad)}: {bad[first].message[:LONGEST]}; it is checked again and again"


def _places(endpoints: Iterable[Endpoint]) -> str:
    return listed(f"{one.pod} in {one.zone or 'an unknown zone'}" for one in endpoints)
