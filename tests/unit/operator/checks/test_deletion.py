"""What a Registry says while its content is deleted, and whether its deletion would hurt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from registry_operator.checks import in_use
from registry_operator.checks.deletion import judge, last_word
from registry_operator.models import Condition, Key, Registry, RegistryStatus
from registry_operator.observed import Conflict, RegistryObserved, Running, Waiting

from registry_runtime.contract.state import EmptyingState, StorageReason, StorageState
from tests.unit.operator.harbour import MADE, NOW, S3, SETTINGS, claim, observed, registry, state, view
from tests.unit.operator.kstatus import kstatus

WAY_OUT = """--type=merge -p '{"spec":{"deletionPolicy":"Retain"}}'"""


def going(**spec: Any) -> Registry:
    return registry(meta={"deletionTimestamp": MADE.isoformat()}, deletionPolicy="Delete", **spec)


def emptying(
    reason: StorageReason = StorageReason.CHECKING, message: str = "", **changes: Any
) -> RegistryObserved:
    """A pod that deletes has said this."""
    told = EmptyingState(owner="uid-harbour-harbour", began=MADE, objects=12, size=3400).model_copy(
        update=changes
    )
    pod = state("harbour-0", "").model_copy(
        update={"emptying": told, "storage": StorageState(reason=reason, message=message)}
    )
    return observed(going(), replicas={"harbour-0": pod})


def ready(seen: RegistryObserved) -> Condition:
    (found,) = [one for one in judge(seen, SETTINGS).conditions if one.type == "Ready"]
    assert found.status == "False"
    return found


def test_first_the_replicas_end_then_the_content_goes() -> None:
    """Each state has its reason; the status counts; old conditions say nothing any more."""
    before = observed(going(), replicas={"harbour-0": state("harbour-0", "r")})
    assert ready(before).reason == "StoppingReplicas"
    seen = emptying()
    status = judge(seen, SETTINGS)
    assert ready(seen).reason == "EmptyingStorage"
    assert {one.type for one in status.conditions} == {"Ready", "Reconciling", "Stalled"}
    assert status.document()["deletion"] == {
        "since": "2026-11-20T12:00:00Z",
        "objects": 12,
        "bytes": 3400,
        "others": 0,
    }
    assert kstatus(1, status.document()) == "InProgress"
    lost = replace(before, registry=replace(before.registry, status=status))
    assert judge(lost, SETTINGS).deletion == status.deletion


@pytest.mark.parametrize(
    ("reason", "lasting"),
    [
        (StorageReason.UNREACHABLE, False),
        (StorageReason.DENIED, True),
        (StorageReason.WRONG_OWNER, True),
        (StorageReason.UNCLAIMED, True),
        (StorageReason.CREDENTIALS_MISSING, True),
    ],
)
def test_what_holds_it_back_is_said_with_the_way_out(reason: StorageReason, lasting: bool) -> None:
    """The pod's own sentence, and the command that lets the Registry go."""
    seen = emptying(reason, "it is so")
    found = ready(seen)
    assert found.reason == reason
    assert found.message.startswith("it is so; or let the Registry go")
    assert "kubectl patch registries.roadstead.dev harbour --namespace harbour" in found.message
    assert WAY_OUT in found.message
    stalled = {one.type: one.status for one in judge(seen, SETTINGS).conditions}
    assert (stalled["Stalled"], stalled["Reconciling"]) == (
        ("True", "False") if lasting else ("False", "True")
    )


def test_what_keeps_the_pod_from_running_is_said_too() -> None:
    """Consent that was taken back, names that are taken, images that cannot be pulled."""
    waiting = Waiting("ImagePullBackOff", "no such image")
    blocked = [
        (observed(going(), secrets=view(refused=["harbour"])), "SecretsNotPermitted"),
        (observed(going(), conflicts=(Conflict("Service", Key("harbour", "harbour")),)), "NameConflict"),
        (observed(going(), waiting={"harbour-0": waiting}), "ImagePullBackOff"),
    ]
    for seen, reason in blocked:
        assert (ready(seen).reason, WAY_OUT in ready(seen).message) == (reason, True)


def test_the_last_word_names_what_stays() -> None:
    """All of it, or what is somebody else's."""
    assert last_word(observed(going())) == "the content in the bucket harbour stays"
    done = emptying(done=True)
    assert last_word(done) == "12 objects with 3400 bytes were deleted in the bucket harbour"
    others = emptying(done=True, others=2, named=("a.csv", "b.csv"))
    assert last_word(others).endswith("; 2 objects there are not Roadstead's and stay: a.csv, b.csv")
    below = observed(going(storage={"s3": {**S3, "prefix": "team/"}}))
    assert last_word(below) == "the content in the bucket harbour below team/ stays"


def test_pods_that_run_images_are_in_use() -> None:
    """Those of the Registry's own namespace are named, the others only counted."""
    assert in_use.check(observed()) is None
    for pods, own, sentence in (
        (2, ("web-0", "web-1"), "2 pods run images of this Registry, such as web-0, web-1"),
        (1, (), "1 pod runs images of this Registry, in other Kubernetes namespaces"),
    ):
        found = in_use.check(observed(running=Running(pods, own)))
        assert found
        assert (found.status, found.reason, found.message) == ("True", "ImagesRun", sentence)
    found = in_use.check(observed(running=Running()))
    assert found
    assert (found.status, found.reason) == ("False", "NoImageRuns")


def test_after_a_restart_what_was_said_stands_until_the_next_look() -> None:
    """Also for a generation that is new: a guard that opens for minutes is none."""
    said = Condition(
        type="InUse", status="True", observed_generation=0, last_transition_time=NOW, reason="ImagesRun"
    )
    of = replace(registry(), status=RegistryStatus(conditions=(said,)))
    found = in_use.check(observed(of))
    assert found
    assert (found.status, found.reason) == ("True", "ImagesRun")


def test_what_others_hold_is_in_use_only_where_it_would_go() -> None:
    """With deletionPolicy Delete, names that are bound, of other accounts."""
    bound = {"conditions": [condition("Bound", "True")]}
    claims = (claim("pier", "guest", status=bound), claim("mine", status=bound), claim("lost", "other"))
    assert in_use.check(observed(namespaces=claims)) is None
    found = in_use.check(observed(registry(deletionPolicy="Delete"), namespaces=claims))
    assert found
    assert (found.status, found.reason) == ("True", "HoldsContentOfOthers")
    assert found.message.endswith("would be deleted, too: pier of guest")


def condition(kind: str, status: str) -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": "Bound",
        "lastTransitionTime": NOW.isoformat(),
        "message": "",
    }
