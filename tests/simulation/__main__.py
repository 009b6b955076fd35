"""`python -m tests.simulation [--seconds N] [--steps N] [--first SEED] [--mutants]`."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from contextlib import ExitStack

from tests.simulation.mutants import MUTANTS
from tests.simulation.world import play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seconds", type=float, default=60, help="for all histories, or for each mutant")
    parser.add_argument("--steps", type=int, default=3000, help="choices in a history")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--mutants", nargs="*", help="undo rules, those whose names hold a word, or all")
    options = parser.parse_args()
    if options.mutants is None:
        return histories(options)
    return mutants(options)


def histories(options: argparse.Namespace) -> int:
    """Plays until the time is over; a seed that breaks a promise is told, and ends it."""
    ends, seed, total = time.monotonic() + options.seconds, options.first, Counter[str]()
    while time.monotonic() < ends:
        try:
            world = play(seed, options.steps)
        except BaseException:
            print(f"seed {seed}, {options.steps} steps")
            raise
        seed += 1
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
        caught = hunt(patches, options)
        survived += caught.startswith("NOT")
        print(f"{name}: {caught}", flush=True)
    return survived


def hunt(patches: list, options: argparse.Namespace) -> str:  # type: ignore[type-arg]
    ends, seed = time.monotonic() + options.seconds, options.first
    while time.monotonic() < ends:
        with ExitStack() as stack:
            for patch in patches:
                stack.enter_context(patch())
            try:
                play(seed, options.steps)
            except AssertionError as error:
                return f"caught in history {seed - options.first + 1}: {str(error)[:70]}"
        seed += 1
    return f"NOT caught in {seed - options.first} histories"


if __name__ == "__main__":
    sys.exit(main())
