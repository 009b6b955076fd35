"""Duels: who is at work goes on for a while, then somebody else, then time passes; few switches find most.

A race that loses something takes few switches at the right calls (Burckhardt et al., "A Randomized Scheduler
with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010). So here are long runs of one actor, cut anywhere
or just before it writes, on a stage where things are about to be hidden or taken.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from registry_runtime.content.digest import Digest
from registry_runtime.storage import paths
from tests.simulation.clients import IMAGES, INDEXES, NAMES, SIGNATURES

if TYPE_CHECKING:
    from tests.simulation.scheduler import Turn
    from tests.simulation.world import World

_DIGESTS = [Digest.of(one) for one in (*IMAGES, *INDEXES, *SIGNATURES)]
_PURGED = [_DIGESTS, _DIGESTS[len(IMAGES) :], _DIGESTS[: len(IMAGES)]]  # some only let go of others
_SWITCHES = 9
_ON = 10_000  # calls: to the end
_HOW_FAR = 7
_UP_TO_A_WRITE, _UP_TO_A_POINTER, _UP_TO_A_LINK = 2, 5, 6
_WRITES = {"put", "delete", "erase"}


def duel(world: World) -> None:
    """Clients come back to what is being collected, or was deleted a moment ago."""
    faulty = [0, 0, 100][world.choose(3)]
    _set_the_stage(world, faulty)
    for _ in range(3 + world.choose(_SWITCHES)):
        _switch(world, faulty)
        if world.choose(20) == 0:
            world.arrive()
        if world.choose(6) == 0:
            world.wake()


def _set_the_stage(world: World, faulty: int) -> None:
    """Most of what there is was let go of, and is so many steps on its way out."""
    world.settle()
    if world.choose(4):
        digests = world.clients.any(_PURGED)
        for name in NAMES[: 1 + world.choose(2)]:
            world.purge(name, [digest for digest in digests if world.oracle.read(name, str(digest))])
        _drain(world, faulty)
    for _ in range(world.choose(4)):
        world.pass_by(_a_grace(world))
        world.collect()
        world.settle()


def race(world: World) -> None:
    """One is held anywhere, the other one goes on, and then the first."""
    _set_the_stage(world, 0)
    world.pass_by(_a_grace(world))
    for begin in [(world.collect, world.push), (world.push, world.collect)][world.choose(2)]:
        begin()
        _run(world, world.choose(_HOW_FAR), 0)
    for _ in range(3):
        _run(world, 0, 0)


def linger(world: World) -> None:
    """A request is so slow that a collection comes and goes, and another one, while it is at work."""
    _set_the_stage(world, 0)
    if world.choose(2):
        world.push()
    else:
        world.push_blob()
    _run(world, 2 + world.choose(5), 0)
    if world.choose(3) == 0:
        world.purge_blobs(world.clients.any(NAMES))
        _run(world, 0, 0, "purge")
    world.collect()
    _run(world, 0, 0, "collect")
    world.pass_by(_a_grace(world))
    world.collect()
    _run(world, 2 + world.choose(5), 0, "collect")
    for _ in range(3):
        _run(world, 0, 0)


def regret(world: World) -> None:
    """What was deleted a moment ago is pushed again, and then a delete arrives that nobody heard of."""
    world.settle()
    for _ in range(1 + world.choose(2)):
        world.push()
        world.settle()
    for name in NAMES:
        world.purge(name, [digest for digest in _DIGESTS if world.oracle.read(name, str(digest))])
    for what in range(world.clients.pushes, len(world.clients.verbs)):
        world.begin(what)
    _drain(world, 300)
    for _ in range(1 + world.choose(3)):
        world.push()
        _drain(world, 0)
    world.settle()


def come_back(world: World) -> None:
    """An upload that broke off is gone on with a day later, when a collection ends it."""
    world.settle()
    world.upload()
    _run_up_to(world, "put", paths.REPOSITORIES)  # its data is there, and nothing leads to it
    for number in range(len(world.replicas)):
        world.crash(number)
    world.pass_by(timedelta(hours=23 + world.choose(8)))
    world.collect()
    _run_up_to(world, "delete", paths.DATA)
    world.wake()
    for _ in range(1 + world.choose(6)):
        _run(world, world.choose(_HOW_FAR), 0)


def _run_up_to(world: World, operation: str, prefix: str) -> None:
    """All go on until somebody is about to do this, or for a while."""
    waiting = world.scheduler.waiting
    for _ in range([_ON, 1 + world.choose(40)][world.choose(2)]):
        here = [turn for turn in waiting if turn.operation == operation and turn.key.startswith(prefix)]
        if here or not waiting:
            return
        world.go(world.clients.any(waiting), 0)


def _drain(world: World, faulty: int) -> None:
    """All that is under way ends, but for what is late."""
    while world.scheduler.waiting:
        world.go(world.clients.any(world.scheduler.waiting), faulty)


def _switch(world: World, faulty: int) -> None:
    """Who is not there comes; the other one goes on."""
    if not world.is_busy("collect"):
        if world.choose(4):
            world.pass_by(_a_grace(world))
        world.collect()
    elif not world.is_busy() or world.choose(12) == 0:
        if world.choose(6):
            world.push()
        else:
            world.begin(world.choose(len(world.clients.verbs)))
    elif world.choose(60) == 0:
        world.crash()
    elif world.choose(8) == 0:
        world.pass_by(_a_grace(world))
        world.collect()
    _run(world, world.choose(_HOW_FAR), faulty)


def _run(world: World, how: int, faulty: int, name: str | None = None) -> None:
    """One actor, of this name, goes on; one of the calls that it makes at once may be left behind."""
    waiting = world.scheduler.waiting
    actors = list(dict.fromkeys(turn.actor for turn in waiting if name in {None, turn.actor.name}))
    if not actors:
        return
    actor = world.clients.any(actors)
    calls = [_ON, _ON, _ON, 1 + world.choose(40), 1 + world.choose(10), _ON, _ON][how]
    left: Turn | None = None
    for done in range(calls):
        turns = [turn for turn in waiting if turn.actor is actor and turn is not left]
        if not turns:
            return
        if len(turns) > 1 and left is None and world.choose(8) == 0:
            left = world.clients.any(turns)
            continue
        turn = world.clients.any(turns)
        if done and _is_far(world, turn, how):
            return
        world.go(turn, faulty)


def _is_far(world: World, turn: Turn, how: int) -> bool:
    """Whether this write is where to stop."""
    if turn.operation not in _WRITES:
        return False
    if how == _UP_TO_A_POINTER:
        return turn.key.startswith(paths.BLOBS) and world.choose(2) == 0
    if how == _UP_TO_A_LINK:
        return "/_blobs/" in turn.key and world.choose(2) == 0
    return how == _UP_TO_A_WRITE and world.choose(3) == 0


def _a_grace(world: World) -> timedelta:
    """And somewhat more, so that what was done by then is old."""
    return world.grace + timedelta(seconds=10 + world.choose(int(world.grace.total_seconds()) // 2))
