"""Histories of many replicas, clients and collectors on a weak bucket: what was promised is kept.

After each step all that was acknowledged and is referred to can be read; in the end all else is gone, and
the data and what names it agree. `python -m tests.simulation` plays for longer, docs/collection.md says what
it found, and which rules it finds undone.
"""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.simulation.history import STORIES, play
from tests.simulation.mutants import MUTANTS, hunt
from tests.simulation.world import World, small_parts


@pytest.mark.parametrize("seed", range(len(STORIES)))
def test_no_history_loses_anything(seed: int) -> None:
    """Requests lost, late and twice, replicas killed, clocks wrong: from a seed, so each comes again."""
    world = play(seed, 1000)
    assert world.scheduler.calls > 1000


def test_what_is_garbage_goes_and_what_is_not_stays() -> None:
    """Of one long history each kind of garbage was hidden and taken."""
    world = play(23, 3000)
    for kind in ("link", "manifest", "blob", "index"):
        assert world.done[f"taken {kind}"], f"no {kind} was ever taken"
    assert world.faults["crash"]


@pytest.mark.parametrize(
    "mutant",
    [
        "what was hidden a moment ago is taken",
        "facts are deleted by their keys",
        "links and manifests are taken whatever is there by now",
    ],
)
def test_a_rule_that_is_undone_is_found(mutant: str) -> None:
    """Else these histories would prove nothing; the other rules are undone by hand."""
    assert hunt(MUTANTS[mutant], range(100), 2000) is not None


class History(RuleBasedStateMachine):
    """The same world, where hypothesis chooses, and finds the shortest history that breaks a promise."""

    def __init__(self) -> None:
        super().__init__()
        self._small = small_parts(0)
        self._small.__enter__()
        self._next = random.Random(0)
        self.world = World(self._next.randrange)

    @rule(what=st.integers(0, 10), seed=st.integers(0, 9))
    def begin(self, what: int, seed: int) -> None:
        """A client begins."""
        self._next.seed(seed)
        self.world.begin(what)

    @rule()
    def collect(self) -> None:
        """A collector begins."""
        self.world.collect()

    @rule(seeds=st.lists(st.integers(0, 99), min_size=1, max_size=30))
    def go_on(self, seeds: list[int]) -> None:
        """Some calls have their fate."""
        for seed in seeds:
            self._next.seed(seed)
            self.world.step(faulty=60)

    @rule()
    def finish_all(self) -> None:
        """All that runs comes to its end."""
        self.world.settle()

    @rule(seed=st.integers(0, 9))
    def crash(self, seed: int) -> None:
        """A replica is killed."""
        self._next.seed(seed)
        self.world.crash()

    @rule(hours=st.sampled_from([1, 3, 25, 50]))
    def wait(self, hours: int) -> None:
        """Time passes."""
        self.world.pass_by(timedelta(hours=hours))

    @invariant()
    def keeps_its_promises(self) -> None:
        """Also when nothing happens."""
        self.world.oracle.check()

    def teardown(self) -> None:
        """Nothing is left that nothing refers to."""
        try:
            self.world.finish()
        finally:
            self.world.close()
            self._small.__exit__(None, None, None)


def test_hypothesis_finds_no_history_that_loses_anything() -> None:
    """Short ones, of its own choice."""
    bounds = settings(max_examples=5, stateful_step_count=25, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(History, settings=bounds)
