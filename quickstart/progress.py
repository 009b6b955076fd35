"""What is going on, and where the time went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Progress:
    """Steps as they happen, each with its duration in seconds."""

    steps: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Say that a step begins and, when it is done, how long it took."""
        print(f"== {name}", flush=True)
        begin = time.monotonic()
        try:
            yield
        finally:
            self.steps.append((name, time.monotonic() - begin))
        print(f"   {self.steps[-1][1]:.1f} s", flush=True)

    def table(self) -> str:
        """All steps, a line each, and their sum."""
        total = sum(seconds for _, seconds in self.steps)
        width = max(len(name) for name, _ in self.steps)
        rows = [f"  {name:<{width}}  {seconds:7.1f} s" for name, seconds in self.steps]
        return "\n".join([*rows, f"  {'in all':<{width}}  {total:7.1f} s"])
