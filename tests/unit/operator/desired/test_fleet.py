"""Whose turn it is: of all Registries of a cluster, and of any moment."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from registry_operator import names
from registry_operator.desired.fleet import limit, measure, member, turns
from registry_operator.desired.release import newest
from registry_operator.models import Key, Registry
from registry_operator.models.base import format_time
from registry_operator.observed import HALTED, Turn

from tests.unit.operator.harbour import NOW, SETTINGS, registry

OLD = "roadstead.test/runtime:0+r1"
NEW = str(newest(SETTINGS))
SOAK, PATIENCE = timedelta(seconds=SETTINGS.upgrade_soak), timedelta(seconds=SETTINGS.upgrade_patience)
AUTOMATIC = {"policy": "Automatic"}
NIGHTLY = AUTOMATIC | {"windows": [{"start": "02:00", "duration": "2h"}]}


def one(
    number: int, upgrades: Any = None, annotations: Any = None, *, ready: bool = True, **status: Any
) -> Registry:
    """A Registry of the fleet; `arrived` and `began` are minutes ago."""
    arrived, began = status.pop("arrived", None), status.pop("began", None)
    conditions = [condition("Ready", ready, 60)]
    conditions.append(condition("UpToDate", arrived is not None, arrived or 0))
    known = {"release": OLD, "observedGeneration": 1, "conditions": conditions} | status
    known |= {} if began is None else {"releasedAt": format_time(NOW - timedelta(minutes=began))}
    made = registry(status=known, upgrades=upgrades or AUTOMATIC)
    named: dict[str, Any] = {"name": f"r{number}", "uid": f"uid-{number}", "annotations": annotations or {}}
    return replace(made, meta=replace(made.meta, **named))


def condition(kind: str, holds: bool, minutes: float) -> dict[str, Any]:
    return {
        "type": kind,
        "status": "True" if holds else "False",
        "reason": "Test",
        "observedGeneration": 1,
        "lastTransitionTime": format_time(NOW - timedelta(minutes=minutes)),
    }


def upgraded(number: int, **status: Any) -> Registry:
    return one(number, release=NEW, previousRelease=OLD, **status)


def begins(*fleet: Registry) -> set[str]:
    return {key.name for key, turn in turns(fleet, NOW, SETTINGS).items() if turn.begins}


def test_one_goes_first() -> None:
    """Of a hundred, and each of the others waits for its turn."""
    fleet = [one(number) for number in range(100)]
    found = turns(fleet, NOW, SETTINGS)
    assert len(found) == 100
    assert sum(turn.begins for turn in found.values()) == 1
    assert {turn.reason for turn in found.values()} == {"Waiting"}


def test_nobody_who_did_not_ask_for_it_is_upgraded() -> None:
    """Manual is the default; an annotation or a pause is an own decision."""
    assert one(0, {"policy": "Manual"}).spec.upgrades == registry().spec.upgrades
    manual = one(0, {"policy": "Manual"})
    pinned = one(1, annotations={names.UPGRADE_TO: OLD})
    paused = one(2, annotations={names.PAUSED: "true"})
    assert turns([manual, pinned, paused], NOW, SETTINGS) == {}


def test_nobody_goes_back_by_itself() -> None:
    """After a rollback of the operator its release is the one of before: that needs an opt-in."""
    assert turns([one(0, previousRelease=NEW)], NOW, SETTINGS) == {}


def test_who_is_not_ready_waits() -> None:
    """An upgrade would prove nothing there; the next one in order goes first."""
    fleet = [one(0, ready=False), one(1)]
    assert begins(*fleet) == {"r1"}
    stale = replace(fleet[1], meta=replace(fleet[1].meta, generation=2))
    assert begins(stale) == set()


def test_the_next_begins_after_the_soak_time() -> None:
    """While the first one is on its way, or young, all wait, and they know how long at most."""
    moving, young = upgraded(0, began=5), upgraded(0, began=9, arrived=8)
    assert begins(moving, one(1)) == begins(young, one(1)) == set()
    assert turns([moving, one(1)], NOW, SETTINGS)[Key("harbour", "r1")].due == NOW + PATIENCE - minutes(5)
    assert turns([young, one(1)], NOW, SETTINGS)[Key("harbour", "r1")].due == NOW + SOAK - minutes(8)
    assert begins(upgraded(0, began=12, arrived=11), one(1)) == {"r1"}


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def test_waves_grow_up_to_the_share() -> None:
    """One, one, two, four, five of a hundred."""
    assert [limit(100, proven, SETTINGS) for proven in (0, 1, 2, 4, 5, 50)] == [1, 1, 2, 4, 5, 5]
    assert limit(3, 2, SETTINGS) == 1


def test_a_failed_one_halts_all_and_is_named() -> None:
    """Until it is Ready, taken back, or paused; one that somebody upgraded by hand halts nobody."""
    failed = upgraded(0, began=16, ready=False)
    found = turns([failed, one(1), one(2)], NOW, SETTINGS)
    assert {turn.reason for turn in found.values()} == {HALTED}
    assert all("harbour/r0" in turn.message for turn in found.values())
    by_hand = upgraded(0, upgrades={"policy": "Manual"}, began=16, ready=False)
    asked = upgraded(0, annotations={names.UPGRADE_TO: NEW}, began=1, ready=False)
    assert begins(by_hand, asked, one(1)) == {"r1"}
    back = one(0, release=OLD, previousRelease=NEW, began=0, ready=False)
    paused = upgraded(0, annotations={names.PAUSED: "true"}, began=16, ready=False)
    assert begins(back, one(1)) == begins(paused, one(1)) == {"r1"}


def test_what_happens_after_the_soak_time_halts_nobody() -> None:
    """A bucket that fails a month later is not the release's fault; a new Registry proves nothing."""
    fresh = one(1, release=NEW, ready=False)
    assert begins(upgraded(0, began=60, arrived=50, ready=False), fresh, one(2)) == {"r2"}
    assert measure([member(fresh)], newest(SETTINGS), NOW, SETTINGS).proven == 0


def test_a_window_is_waited_for() -> None:
    """Noon is not at night: the message says when."""
    turn = turns([one(0, NIGHTLY)], NOW, SETTINGS)[Key("harbour", "r0")]
    assert (turn.begins, turn.due) == (False, NOW + timedelta(hours=14))
    assert "2026-11-22T02:00:00Z" in turn.message
    assert turns([one(0, NIGHTLY)], NOW + timedelta(hours=15), SETTINGS)[Key("harbour", "r0")].begins


class Fleet:
    """Registries that live through an upgrade; what each does is decided by a seed."""

    def __init__(self, size: int, seed: int, failing: float) -> None:
        self.dice = random.Random(seed)
        self.now = NOW
        choices = [AUTOMATIC, AUTOMATIC, NIGHTLY]
        self.all = {n: one(n, self.dice.choice(choices)) for n in range(size)}
        self.fails = {n for n in self.all if self.dice.random() < failing}
        self.took = {n: minutes(self.dice.uniform(0, 14)) for n in self.all}
        self.settings = replace(SETTINGS, upgrade_percent=self.dice.choice([1, 5, 20, 100]))

    def turns(self) -> dict[Key, Turn]:
        order = list(self.all.values())
        self.dice.shuffle(order)
        return turns(order, self.now, self.settings)

    def begin(self, number: int) -> None:
        self._set(number, release=NEW, previous_release=OLD, released_at=self.now)
        self._judge(number)

    def pass_time(self) -> None:
        self.now += minutes(self.dice.uniform(1, 60))
        for number, found in self.all.items():
            if found.status.released_at:
                self._judge(number)

    def _judge(self, number: int) -> None:
        """As the operator does: up to date when it is Ready in the new release."""
        began = self.all[number].status.released_at
        assert began
        ready = number not in self.fails and self.now >= began + self.took[number]
        up = {one.type: one for one in self.all[number].status.conditions}["UpToDate"]
        if ready and up.status != "True":
            arrived = min(self.now, began + self.took[number])
            conditions = tuple(
                replace(one, status="True", last_transition_time=arrived) if one.type == "UpToDate" else one
                for one in self.all[number].status.conditions
            )
            self._set(number, conditions=conditions)

    def _set(self, number: int, **changes: Any) -> None:
        found = self.all[number]
        self.all[number] = replace(found, status=found.status.model_copy(update=changes))

    def progress(self) -> Any:
        return measure(map(member, self.all.values()), newest(self.settings), self.now, self.settings)


@settings(max_examples=40)
@given(st.integers(1, 25), st.integers(), st.sampled_from([0.0, 0.0, 0.1]))
def test_a_fleet_is_upgraded_in_order_and_within_bounds(size: int, seed: int, failing: float) -> None:
    """Never too many unproven, never out of a window, never one after a failure; and all in the end."""
    fleet = Fleet(size, seed, failing)
    for _ in range(size * 60 + 200):
        before, found = fleet.progress(), fleet.turns()
        assert found == fleet.turns(), "the order of the list decides nothing"
        for key, turn in found.items():
            number = int(key.name[1:])
            assert turn.due is None or turn.due > fleet.now
            if turn.begins:
                assert not before.failed
                assert fleet.all[number].spec.upgrades.may_begin(fleet.now)
                fleet.begin(number)
        after = fleet.progress()
        began = after.unproven - before.unproven
        assert began <= 0 or after.unproven <= limit(size, before.proven, fleet.settings)
        if not found or before.failed:
            break
        fleet.pass_time()
    for _ in range(60):
        fleet.pass_time()
    done = {number for number, one in fleet.all.items() if one.status.release == NEW}
    assert fleet.fails & done or done == set(fleet.all)
    if fleet.fails & done:
        assert fleet.progress().failed
        assert not any(turn.begins for turn in fleet.turns().values())
