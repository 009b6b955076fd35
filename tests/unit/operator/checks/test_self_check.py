"""SelfCheckPassed, and what Ready makes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import TypeAdapter, ValidationError
from registry_operator.checks.registry import judge
from registry_operator.desired.registry import render
from registry_operator.models import Condition
from registry_operator.models.access import ProviderName
from registry_operator.models.namespace import NamespaceSpec
from registry_operator.observed import RegistryObserved

from registry_runtime.contract.state import SelfCheckReason, SelfCheckState
from registry_runtime.contract.subject import SELF_CHECK
from tests.unit.operator.harbour import SETTINGS, observed, running

FAILED = SelfCheckState(reason=SelfCheckReason.FAILED, message="PUT /v2/x: HTTP 503: the disk is full")
LATE = SelfCheckState(reason=SelfCheckReason.LATE, message="not again within 600 s")
CHECKING = SelfCheckState()


@pytest.fixture
def seen() -> RegistryObserved:
    """A Registry of which all is well."""
    return running(observed())[0]


def saying(seen: RegistryObserved, **checks: SelfCheckState | None) -> RegistryObserved:
    """The same, where these pods (harbour_1 is harbour-1) say this of their check."""
    changed = dict(seen.replicas)
    for name, check in checks.items():
        state = changed[name.replace("_", "-")]
        assert state is not None
        changed[name.replace("_", "-")] = state.model_copy(update={"self_check": check})
    return replace(seen, replicas=changed)


def said(seen: RegistryObserved, kind: str) -> Condition | None:
    return judge(seen, render(seen, SETTINGS), SETTINGS).condition(kind)


def both(seen: RegistryObserved) -> tuple[Condition, Condition]:
    checked, ready = said(seen, "SelfCheckPassed"), said(seen, "Ready")
    assert checked is not None
    assert ready is not None
    return checked, ready


def judged_before(seen: RegistryObserved) -> RegistryObserved:
    status = judge(seen, render(seen, SETTINGS), SETTINGS)
    return replace(seen, registry=replace(seen.registry, status=status))


def test_one_that_fails_holds_ready_back(seen: RegistryObserved) -> None:
    """With its pod, its zone and what it met, whatever the others say. It is tried again: not Stalled."""
    checked, ready = both(saying(seen, harbour_1=FAILED))
    assert (checked.status, checked.reason) == ("False", "SelfCheckFailed")
    assert checked.message.startswith("harbour-1 in zone-b: PUT /v2/x: HTTP 503: the disk is full")
    assert (ready.status, ready.reason, ready.message) == ("False", "SelfCheckFailed", checked.message)
    reconciling, stalled = said(saying(seen, harbour_1=FAILED), "Reconciling"), said(seen, "Stalled")
    assert reconciling is not None
    assert stalled is not None
    assert (reconciling.status, stalled.status) == ("True", "False")


def test_one_that_is_late_holds_ready_back(seen: RegistryObserved) -> None:
    """And a failure elsewhere is told first."""
    checked, ready = both(saying(seen, harbour_2=LATE))
    assert (checked.reason, ready.reason) == ("SelfCheckLate", "SelfCheckLate")
    assert "harbour-2 in zone-c" in checked.message
    assert both(saying(seen, harbour_2=LATE, harbour_0=FAILED))[0].reason == "SelfCheckFailed"


def test_one_that_has_not_checked_yet_is_waited_for(seen: RegistryObserved) -> None:
    """Unknown, and Ready is not said before."""
    checked, ready = both(saying(seen, harbour_0=CHECKING))
    assert (checked.status, checked.reason, ready.status) == ("Unknown", "Checking", "False")


def test_a_restart_vouches_for_no_new_replica(seen: RegistryObserved) -> None:
    """What was said holds of whom it was said of: not of another pod, nor of one that says otherwise."""
    before = judged_before(seen)
    assert both(replace(before, replicas={}))[0].status == "True"
    first, *others = before.endpoints
    another = replace(before, replicas={}, endpoints=(replace(first, pod="harbour-9"), *others))
    assert both(another)[0].reason == "NotReported"
    heard = {"harbour-0": saying(seen, harbour_0=CHECKING).replicas["harbour-0"]}
    assert both(replace(before, replicas=heard))[0].reason == "Checking"


def test_one_that_does_not_answer_has_not_passed(seen: RegistryObserved) -> None:
    """A zone that is cut off from the operator is not taken for good, whatever was said before."""
    before = judged_before(seen)
    checked, ready = both(replace(before, replicas={**before.replicas, "harbour-2": None}))
    assert (checked.status, checked.reason) == ("Unknown", "NotReported")
    assert "harbour-2 in zone-c" in checked.message
    assert ready.status == "False"


def test_a_replica_that_serves_no_more_is_not_asked_for(seen: RegistryObserved) -> None:
    """What a pod said that is ending, or not ready, is no matter; then Ready waits for its successor."""
    gone = tuple(replace(one, terminating=one.pod == "harbour-1") for one in seen.endpoints)
    checked, ready = both(replace(saying(seen, harbour_1=FAILED), endpoints=gone))
    assert (checked.status, ready.reason) == ("True", "ReplicasNotReady")


def test_an_older_runtime_is_not_judged(seen: RegistryObserved) -> None:
    """Where no replica makes the check there is no condition, and Ready is what it was without."""
    older = saying(seen, harbour_0=None, harbour_1=None, harbour_2=None)
    assert said(older, "SelfCheckPassed") is None
    ready = said(older, "Ready")
    assert ready is not None
    assert ready.status == "True"
    mixed, ready = both(saying(seen, harbour_0=None))
    assert (mixed.status, ready.status) == ("True", "True")
    assert "harbour-0" not in mixed.message


def test_a_newer_operator_takes_nothing_back(seen: RegistryObserved) -> None:
    """Its first look at a Registry that an older one called Ready, before any replica was asked."""
    before = judged_before(saying(seen, harbour_0=None, harbour_1=None, harbour_2=None))
    ready = said(replace(before, replicas={}), "Ready")
    assert ready is not None
    assert ready.status == "True"
    assert said(replace(before, replicas={}), "SelfCheckPassed") is None


def test_nobody_can_claim_the_name() -> None:
    """Neither a Namespace the repository's, nor an OIDC provider the replica's."""
    with pytest.raises(ValidationError, match="name"):
        NamespaceSpec.model_validate({"name": SELF_CHECK, "registryRef": {"name": "harbour"}})
    with pytest.raises(ValidationError):
        TypeAdapter(ProviderName).validate_python(SELF_CHECK)
