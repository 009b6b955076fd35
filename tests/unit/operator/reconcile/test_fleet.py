"""Of the fleet is remembered what spares a look at it, and no more than that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from registry_operator import names
from registry_operator.models import Key, Registry
from registry_operator.reconcile.fleet import RECENT, Fleet

from tests.unit.operator.desired.test_fleet import OLD, one, upgraded
from tests.unit.operator.harbour import NOW, SETTINGS

TICK = timedelta(seconds=1)


def test_who_waits_is_not_looked_for_again() -> None:
    """For some seconds, while neither the Registry nor its time has changed; who begins always is."""
    fleet, waiting = Fleet(), one(1)
    found = fleet.look([upgraded(0, began=1), waiting], NOW, SETTINGS)
    turn = found[waiting.key]
    assert not turn.begins
    assert fleet.waits(waiting, NOW + TICK) == turn
    assert fleet.waits(waiting, NOW + RECENT) is None
    edited = replace(waiting, meta=replace(waiting.meta, resource_version="8"))
    assert fleet.waits(edited, NOW + TICK) is None
    (first,) = fleet.look([waiting], NOW, SETTINGS).values()
    assert first.begins
    assert fleet.waits(waiting, NOW) is None


def test_a_wait_that_is_over_is_looked_at() -> None:
    """At the end of the soak time of the one before."""
    fleet, young = Fleet(), upgraded(0, began=11, arrived=9.95)
    due = fleet.look([young, one(1)], NOW, SETTINGS)[Key("harbour", "r1")].due
    assert due is not None
    assert due < NOW + RECENT
    assert fleet.waits(one(1), due - TICK / 2)
    assert fleet.waits(one(1), due) is None


def test_the_others_are_woken_by_what_changes_their_turn() -> None:
    """An upgrade that begins, arrives, fails, is paused or is gone; not by the same again."""
    fleet = Fleet()
    fleet.meet(one(0), SETTINGS)
    fleet.meet(one(0, ready=False), SETTINGS)
    failed = upgraded(0, began=16, ready=False)
    paused = replace(failed, meta=replace(failed.meta, annotations={names.PAUSED: "true"}))
    story: list[tuple[Registry | None, bool]] = [
        (one(0), False),
        (one(0), False),
        (one(0, ready=False), True),
        (upgraded(0, began=1), True),
        (upgraded(0, began=1, ready=False), False),
        (upgraded(0, began=1, arrived=0), True),
        (failed, True),
        (paused, True),
        (one(0, release=OLD, annotations={names.UPGRADE_TO: OLD}), True),
        (None, True),
        (None, False),
    ]
    for registry, news in story:
        assert fleet.changed(Key("harbour", "r0"), registry, SETTINGS) is news, registry
