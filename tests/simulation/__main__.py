"""`python -m tests.simulation [--seconds N] [--steps N] [--first SEED] [--mutants]`."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count

from tests.simulation.history import play
from tests.simulation.mutants import MUTANTS, hunt


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument(
        "--seconds", type=float, default=60, help="for all histories; for each mutant, of CPU time"
    )
    parser.add_argument("--steps", type=int, default=3000, help="calls in a history, at least")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--mutants", nargs="*", help="undo rules, those whose names hold a word, or all")
    options = parser.parse_args()
    if options.mutants is None:
        return histories(options)
    return mutants(options)


def histories(options: argparse.Namespace) -> int:
    """Plays until the time is over; a seed that breaks a promise is told, and ends it."""
    total = Counter[str]()
    for seed in seeds(options, time.monotonic):
        try:
            world = play(seed, options.steps)
        except BaseException:
            print(f"seed {seed}, {options.steps} steps")
            raise
        total += Counter(histories=1, calls=world.scheduler.calls) + world.done
        total += Counter({f"fault: {name}": number for name, number in world.faults.items()})
    for name, number in sorted(total.items()):
        print(f"{number:10} {name}")
    return 0


def mutants(options: argparse.Namespace) -> int:
    """Plays each mutant until it is caught or its time is over; how many were not."""
    survived = 0
    for name, patches in MUTANTS.items():
        if options.mutants and not any(word in name for word in options.mutants):
            continue
        began = time.process_time()
        caught = hunt(patches, seeds(options, time.process_time), options.steps)
        survived += caught is None
        seconds = f"{time.process_time() - began:.0f} s"
        if caught:
            print(f"{name}: {seconds}, history {caught[0] - options.first + 1}: {caught[1][:60]}", flush=True)
        else:
            print(f"{name}: NOT caught in {seconds}", flush=True)
    return survived


def seeds(options: argparse.Namespace, clock: Callable[[], float]) -> Iterator[int]:
    """One after the other until the time is over."""
    ends = clock() + options.seconds
    for seed in count(options.first):
        if clock() > ends:
            return
        yield seed


if __name__ == "__main__":
    sys.exit(main())
