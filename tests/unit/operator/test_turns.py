"""Which replicas hold a connection, and when the others are visited: on a clock of the test."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from registry_operator import turns as module
from registry_operator.models import Key
from registry_operator.turns import Line, Turns

QUIET, BUSY = Key("shop", "quiet"), Key("shop", "busy")


class Clock:
    """Time passes where the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def awaiting(rate: float) -> Turns:
    """Of a fleet, where something of one Registry is awaited."""
    turns = Turns(held=0, rate=rate)
    turns.followed = 3000
    turns.attend(BUSY)
    return turns


@contextmanager
def visiting(turns: Turns, registry: Key, number: int) -> Iterator[list[asyncio.Task[None]]]:
    """So many replicas of a Registry, in the order in which they come; nobody waits after the block."""
    tasks = [asyncio.create_task(turns.visit(registry, turns.calls(registry))) for _ in range(number)]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()


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
    """So many a second, and none is saved up in a time in which nobody came."""
    line = Line(10, clock)

    def passed(number: int) -> int:
        turns = [asyncio.get_running_loop().create_future() for _ in range(number)]
        for turn in turns:
            line.join(turn)
        return sum(turn.done() for turn in turns)

    assert passed(3) == 1
    clock.now = 100
    line._let()
    assert passed(3) == 1
    clock.now = 100.55
    line._let()
    assert not line._waiting


async def test_who_left_a_line_holds_up_nobody() -> None:
    """A fleet that came anew and went, or was called out of it: who comes then waits for none of them."""
    turns = awaiting(rate=10)
    with visiting(turns, BUSY, 100):
        await asyncio.sleep(0.05)
    turns.attend(QUIET)
    await asyncio.wait_for(turns.visit(QUIET, turns.calls(QUIET)), 0.5)


async def test_what_is_said_during_a_visit_is_new() -> None:
    """The replica may have answered before it knew: it is asked again before all who have waited longer."""
    turns = awaiting(rate=1)
    with visiting(turns, BUSY, 300):
        await asyncio.sleep(0.05)
        before = turns.calls(QUIET)
        turns.attend(QUIET)
        await asyncio.wait_for(turns.visit(QUIET, before), 0.5)


def test_only_who_waits_for_something_lingers(clock: Clock) -> None:
    """A visit to any other replica ends as soon as it has said what it is."""
    turns = Turns(held=0, clock=clock)
    turns.attend(BUSY)
    assert (turns.lingers(BUSY), turns.lingers(QUIET)) == (module.LINGER, 0)


async def test_whoever_is_attended_is_visited_again_at_once() -> None:
    """As often as the rate lets it: the visit itself waits for news."""
    turns = awaiting(rate=100)
    async with asyncio.timeout(2):
        for _ in range(5):
            await turns.visit(BUSY, turns.calls(BUSY))


async def test_a_call_ends_the_wait() -> None:
    """Who sleeps until its next visit in minutes is woken when its Registry is attended, and no other is."""
    turns = Turns(held=0, rate=1000)
    turns.followed = 10
    with visiting(turns, BUSY, 1) as (busy,), visiting(turns, QUIET, 1) as (quiet,):
        await asyncio.sleep(0.05)
        assert not busy.done()
        assert not quiet.done()
        turns.attend(BUSY)
        await asyncio.wait_for(busy, 5)
        assert not quiet.done()


async def test_what_is_new_does_not_wait_for_what_was_awaited_before() -> None:
    """Where hundreds are attended, one that is attended anew is visited before them, whoever it is."""
    turns = awaiting(rate=1)
    with visiting(turns, BUSY, 300) as before, visiting(turns, QUIET, 1) as (new,):
        await asyncio.sleep(0.05)
        turns.attend(QUIET)
        await asyncio.wait_for(new, 0.5)
        assert sum(task.done() for task in before) == 1


async def test_who_stands_in_the_line_of_the_quiet_is_called_out_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With thousands of replicas that line is never empty: behind it each fourth change took ten seconds."""
    monkeypatch.setattr(module, "QUIET", 0.0)
    turns = Turns(held=0, rate=1)
    with visiting(turns, QUIET, 300) as before, visiting(turns, BUSY, 1) as (last,):
        await asyncio.sleep(0.05)
        turns.attend(BUSY)
        await asyncio.wait_for(last, 0.5)
        assert sum(task.done() for task in before) == 1


async def test_quiet_replicas_come_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose rest ends in the same moment wait for their turn."""
    monkeypatch.setattr(module, "QUIET", 0.0)
    turns = Turns(held=0, rate=20)
    with visiting(turns, QUIET, 20) as visits:
        await asyncio.sleep(0.2)
        assert 1 < sum(task.done() for task in visits) < 10


def test_the_rate_bounds_the_whole_fleet(clock: Clock) -> None:
    """Three thousand quiet replicas are each visited within minutes, twenty a second."""
    turns = Turns(held=0, rate=20, clock=clock)
    turns.followed = 3000
    assert turns._rest() == 150
