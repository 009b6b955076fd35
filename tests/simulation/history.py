"""Histories: from a seed each, so that each comes again."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

from tests.simulation.duel import come_back, duel, linger, race, regret
from tests.simulation.world import GRACES, World, small_parts


def play(seed: int, steps: int) -> World:
    """At least so many calls of one kind of story, and then all that is left is collected."""
    source, story = random.Random(seed), STORIES[seed % len(STORIES)]
    grace = GRACES[-1] if story is linger else source.choice(GRACES)  # which a request may outlast
    with small_parts(seed):
        world = World(source.randrange, erases=bool(source.randrange(2)), grace=grace)
        try:
            while world.scheduler.calls < steps:
                story(world)
            world.finish()
        finally:
            world.close()
    return world


def wander(world: World) -> None:
    """Whatever may happen next."""
    chance = world.choose(1000)
    if chance < 40:
        world.begin(world.choose(len(world.clients.verbs)))
    elif chance < 52:
        world.collect()
    elif chance < 55:
        world.crash()
    elif chance < 60:
        world.pass_by(timedelta(hours=1 + world.choose(30)))
    elif chance < 64:
        duel(world)
    else:
        world.step()


STORIES: list[Callable[[World], None]] = [race, linger, regret, come_back, duel, race, linger, wander]
