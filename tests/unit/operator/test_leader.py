"""Who leads, by a clock that stands still until it is told."""

import asyncio
import copy
from typing import Any

import pytest
from registry_operator.cluster import Resource
from registry_operator.errors import NotFound, Unavailable, WriteConflict
from registry_operator.leader import Leader, Timing
from registry_operator.models import Key

LEASE = Key("system", "operator")


class Api:
    """Leases with the API server's rules for concurrent writes; it may be away."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.away = False
        self.writes = 0

    async def get(self, _: Resource, _namespace: str, _name: str) -> dict[str, Any]:
        self._reach()
        if self.lease is None:
            raise NotFound("no lease")
        return copy.deepcopy(self.lease)

    async def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        self._reach()
        if self.lease is not None:
            raise WriteConflict("it is there")
        return self._store(obj)

    async def replace(self, obj: dict[str, Any]) -> dict[str, Any]:
        self._reach()
        assert self.lease is not None
        if obj["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise WriteConflict("it changed")
        return self._store(obj)

    def _store(self, obj: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        self.writes += 1
        self.lease = copy.deepcopy(obj)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.lease)

    def _reach(self) -> None:
        if self.away:
            raise Unavailable("away")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def candidate(api: Api, name: str, clock: Clock) -> Leader:
    return Leader(api, LEASE, name, Timing(15, 10, 0.01), clock)  # type: ignore[arg-type]  # the three that it uses


async def test_the_first_leads_and_the_second_waits(clock: Clock) -> None:
    """One lease, one holder; at a clean end the next one has it at once."""
    api = Api()
    first, second = candidate(api, "first", clock), candidate(api, "second", clock)
    assert await first._attempt()
    assert not await second._attempt()
    assert first.holds
    assert not second.holds
    async with first.leading():
        pass
    assert await second._attempt()
    assert second.holds


async def test_a_lease_is_taken_over_when_it_has_not_changed_for_its_duration(clock: Clock) -> None:
    """Measured by the own clock since it was last seen to change, not by times that others wrote."""
    api = Api()
    first, second = candidate(api, "first", clock), candidate(api, "second", clock)
    await first._attempt()
    assert api.lease is not None
    api.lease["spec"]["renewTime"] = "1999-01-01T00:00:00.000000Z"  # a clock that is decades behind
    assert not await second._attempt()
    clock.now = 14
    await first._attempt()
    clock.now = 20
    assert not await second._attempt()  # it changed meanwhile
    clock.now = 36
    assert await second._attempt()
    assert api.lease["spec"]["leaseTransitions"] == 1


async def test_who_cannot_renew_stops_before_another_may_begin(clock: Clock) -> None:
    """After 10 s without a renewal nothing may be written; the Lease itself lasts 15 s."""
    api = Api()
    leader = candidate(api, "first", clock)
    async with leader.leading() as lost:
        api.away = True
        clock.now = 9.9
        assert leader.holds
        clock.now = 10.1
        assert not leader.holds  # at once, also where the renewing task had no chance to run
        await asyncio.wait_for(lost.wait(), 2)
        writes = api.writes
        api.away = False
    assert api.writes == writes  # what was lost is not released: it may be another's by now


async def test_of_two_that_want_it_at_once_one_gets_it(clock: Clock) -> None:
    """The API server's conflict decides."""
    api = Api()
    leaders = [candidate(api, str(number), clock) for number in range(5)]
    results = await asyncio.gather(*(leader._attempt() for leader in leaders))
    assert results.count(True) == 1


async def test_a_restart_under_the_same_name_does_not_wait(clock: Clock) -> None:
    """A container that is started anew in its pod goes on where it was."""
    api = Api()
    await candidate(api, "pod", clock)._attempt()
    assert await candidate(api, "pod", clock)._attempt()
    assert api.lease is not None
    assert api.lease["spec"]["leaseTransitions"] == 0


async def test_who_waits_knows_for_whom(clock: Clock) -> None:
    """It would notice the other's end: not before it has heard of it, nor when it hears no longer."""
    api = Api()
    first, second = candidate(api, "first", clock), candidate(api, "second", clock)
    assert not second.waits
    await first._attempt()
    await second._attempt()
    assert (second.waits, second.holder) == (True, "first")
    assert (first.waits, first.holder) == (False, "first")
    clock.now = 16
    assert not second.waits
    api.away = True
    await second._attempt()
    assert not second.waits


async def test_who_can_renew_no_longer_ends(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the fault: a process that neither leads nor waits would never be replaced."""
    leader = candidate(Api(), "first", clock)

    async def broken() -> bool:
        raise RuntimeError

    async with leader.leading() as lost:
        monkeypatch.setattr(leader, "_attempt", broken)
        await asyncio.wait_for(lost.wait(), 5)
