"""Which replicas hold a connection, and when the others are visited: on a clock of the test."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from registry_operator import turns as module
from registry_operator.models import Key
from registry_operator.turns import Gate, Turns

QUIET, BUSY = Key("shop", "quiet"), Key("shop", "busy")


class Clock:
    """Time passes where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(asyncio, "sleep", made.sleep)
    return made


def test_a_few_replicas_are_all_held(clock: Clock) -> None:
    """As long as there is room nobody is visited, whether something is awaited or not."""
    turns = Turns(held=2, clock=clock)
    turns.followed = 2
    with turns.hold(QUIET) as first, turns.hold(BUSY) as second:
        assert (first, second) == (True, True)


def test_of_many_those_are_held_where_something_is_awaited(clock: Clock) -> None:
    """And never more than there is memory for; what is awaited is so for a minute."""
    turns = Turns(held=2, clock=clock)
    turns.followed = 9
    turns.attend(BUSY)
    with turns.hold(QUIET) as quiet, turns.hold(BUSY) as first, turns.hold(BUSY) as second:
        assert (quiet, first, second) == (False, True, True)
        with turns.hold(BUSY) as third:
            assert not third
    with turns.hold(BUSY) as again:
        assert again
    clock.now += module.ATTENTION
    with turns.hold(BUSY) as later:
        assert not later


async def test_visits_are_paced(clock: Clock) -> None:
    """So many a second, and none waits for a time in which nobody came."""
    gate = Gate(10, clock)
    for _ in range(20):
        await gate.through()
    assert clock.now == pytest.approx(1.9)
    clock.now = 100
    await gate.through()
    assert clock.now == pytest.approx(100)


async def test_whoever_is_attended_is_visited_soon(clock: Clock) -> None:
    """Within seconds each time, however many others there are."""
    turns = Turns(held=0, rate=10, clock=clock)
    turns.followed = 3000
    turns.attend(BUSY)
    for _ in range(5):
        await turns.visit(BUSY)
    assert clock.now <= 5 * (module.ATTENDED + 0.2)


async def test_a_call_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sleeps until its next visit in minutes is woken when its Registry is attended, and no other is."""
    turns = Turns(held=0, rate=1000)
    turns.followed = 10
    both = [asyncio.create_task(turns.visit(key)) for key in (BUSY, QUIET)]
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in both)
    turns.attend(BUSY)
    await asyncio.wait_for(both[0], 5)
    assert not both[1].done()
    both[1].cancel()


async def test_the_rate_bounds_the_whole_fleet(clock: Clock) -> None:
    """Three thousand quiet replicas are each visited within minutes, twenty a second."""
    turns = Turns(held=0, rate=20, clock=clock)
    turns.followed = 3000
    assert turns._quiet() == 150
    through: Callable[[], Awaitable[None]] = turns._later.through
    for _ in range(3000):
        await through()
    assert clock.now == pytest.approx(150, abs=1)
