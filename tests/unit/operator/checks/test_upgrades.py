"""UpToDate and Paused: what is said of a release, and of what waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from registry_operator import names
from registry_operator.checks.registry import judge
from registry_operator.desired.registry import render
from registry_operator.desired.release import newest
from registry_operator.models import RegistryStatus
from registry_operator.models.base import format_time
from registry_operator.observed import HALTED, RegistryObserved, Turn

from tests.unit.operator.harbour import NOW, SETTINGS, observed, registry, running
from tests.unit.operator.kstatus import kstatus

OLD, NEW = "roadstead.test/runtime:0+r1", str(newest(SETTINGS))
LONG_AGO = format_time(NOW - timedelta(days=2))


def seen(*, serves: bool = True, annotations: Any = None, **status: Any) -> RegistryObserved:
    """A Registry that runs; `serves`: every replica of this generation."""
    one = registry(meta={"annotations": annotations or {}}, status=status)
    found, _ = running(observed(one))
    return found if serves else replace(found, endpoints=())


def status(found: RegistryObserved) -> RegistryStatus:
    return judge(found, render(found, SETTINGS), SETTINGS)


def up_to_date(found: RegistryObserved) -> tuple[str, str, str]:
    one = status(found).condition("UpToDate")
    assert one
    return one.status, one.reason, one.message


def arrived(at: str) -> list[dict[str, Any]]:
    return [{"type": "UpToDate", "status": "True", "reason": "Newest", "lastTransitionTime": at}]


def test_a_new_registry_is_of_the_newest_release() -> None:
    """The status says which, and there was no upgrade."""
    found = status(seen())
    assert (found.release, found.previous_release, found.released_at) == (NEW, None, None)
    assert up_to_date(seen())[:2] == ("True", "Newest")
    assert up_to_date(seen(serves=False))[:2] == ("True", "Newest")


def test_an_older_release_runs_on_and_says_how_to_change() -> None:
    """It is Ready, and the message has the command."""
    old = seen(release=OLD)
    assert up_to_date(old)[:2] == ("False", "UpgradeAvailable")
    command = f"kubectl annotate reg harbour --namespace harbour roadstead.dev/upgrade-to={NEW} --overwrite"
    assert command in up_to_date(old)[2].splitlines()
    ready = status(old).condition("Ready")
    assert ready
    assert ready.status == "True"
    assert status(old).release == OLD


@pytest.mark.parametrize(
    ("minutes", "serves", "reason"),
    [(1, False, "Upgrading"), (1, True, "Newest"), (16, False, "UpgradeFailed"), (16, True, "Newest")],
)
def test_an_upgrade_is_done_when_the_registry_is_ready(minutes: int, serves: bool, reason: str) -> None:
    """Not in time is a failure, with the way back; Ready later mends it."""
    began = format_time(NOW - timedelta(minutes=minutes))
    found = seen(serves=serves, release=NEW, previousRelease=OLD, releasedAt=began)
    assert up_to_date(found)[1] == reason
    if reason == "UpgradeFailed":
        assert f"roadstead.dev/upgrade-to={OLD}" in up_to_date(found)[2]


def test_what_was_proven_stays_up_to_date() -> None:
    """Not Ready within the soak time is the upgrade's; two days later it is not."""
    upgrade = {"release": NEW, "previousRelease": OLD, "releasedAt": LONG_AGO}
    young = format_time(NOW - timedelta(minutes=5))
    assert up_to_date(seen(serves=False, conditions=arrived(LONG_AGO), **upgrade))[1] == "Newest"
    assert up_to_date(seen(serves=False, conditions=arrived(young), **upgrade))[1] == "UpgradeFailed"


def test_the_fleet_s_word_is_passed_on() -> None:
    """Why this one waits, and from where to where."""
    waiting = replace(seen(release=OLD), turn=Turn(message="waits for its turn"))
    assert up_to_date(waiting) == ("False", "Waiting", f"waits for its turn (from {OLD} to {NEW})")
    halted = replace(waiting, turn=Turn(reason=HALTED, message="Registry a/b failed"))
    assert up_to_date(halted)[1] == HALTED


def test_a_release_that_cannot_be_had_is_said() -> None:
    """An annotation that names another image starts nothing."""
    asking = seen(release=OLD, annotations={names.UPGRADE_TO: "evil.test/image:1+r1"})
    assert "cannot be had" in up_to_date(asking)[2]


def test_a_release_of_a_newer_operator_runs_on() -> None:
    """What was Ready stays so in this generation; an edit does not reach the pods, and says so."""
    before = status(seen())
    newer = f"{newest(SETTINGS).image}+r99"
    known = before.model_copy(update={"release": newer})
    found = seen()
    found = replace(found, registry=replace(found.registry, status=known))
    assert up_to_date(found)[:2] == ("False", "ReleaseUnknown")
    assert kstatus(1, status(found).document()) == "Current"
    edited = replace(found.registry, meta=replace(found.registry.meta, generation=2))
    said = status(replace(found, registry=edited))
    ready = said.condition("Ready")
    assert ready
    assert (ready.status, ready.reason) == ("False", "ReleaseUnknown")


def test_a_paused_registry_is_current_while_nothing_waits() -> None:
    """And in progress as soon as something would be written: what is declared is not what is there."""
    calm = replace(seen(annotations={names.PAUSED: "true"}), held=())
    waiting = replace(calm, held=("Deployment harbour", "ConfigMap harbour-config"))
    for found, expected in ((calm, "Current"), (waiting, "InProgress")):
        said = status(found)
        paused = said.condition("Paused")
        assert paused
        assert paused.status == "True"
        assert kstatus(1, said.document()) == expected
    ready = status(waiting).condition("Ready")
    assert ready
    assert (ready.reason, "Deployment harbour" in ready.message) == ("Paused", True)
    assert status(seen()).condition("Paused") is None
