"""Figures with their spread and their bar."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure. `value` is what is compared with `bar`, where that is finite; less is better."""

    what: str
    unit: str
    value: float
    bar: float
    spread: str

    @property
    def met(self) -> bool:
        return self.value <= self.bar


def median(what: str, unit: str, samples: Sequence[float], bar: float) -> Row:
    """The median of some rounds."""
    spread = f"{min(samples):.2f} to {max(samples):.2f}, {len(samples)} rounds"
    return Row(f"{what}, median", unit, statistics.median(samples), bar, spread)


def p99(what: str, unit: str, samples: Sequence[float], bar: float) -> Row:
    """The 99th percentile (nearest rank) of many samples."""
    ordered = sorted(samples)
    rank = min(len(ordered) - 1, -(-len(ordered) * 99 // 100) - 1)
    spread = f"p50 {statistics.median(ordered):.3f}, max {ordered[-1]:.3f}, {len(ordered)} samples"
    return Row(f"{what}, p99", unit, ordered[rank], bar, spread)


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = ["| what | measured | bar | spread | |", "|---|---|---|---|---|"]
    for row in rows:
        bound = math.isfinite(row.bar)
        verdict = "" if not bound else "met" if row.met else "**missed**"
        measured, bar = f"{row.value:.2f} {row.unit}", f"≤ {row.bar:g} {row.unit}" if bound else ""
        lines.append(f"| {row.what} | {measured} | {bar} | {row.spread} | {verdict} |")
    return "\n".join(lines)
