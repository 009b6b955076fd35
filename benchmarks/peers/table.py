"""Ratios with their spread, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.peers.loads import Sample
from benchmarks.peers.rows import Row

UNKNOWN = "-"
_ADDED = 0.3  # the share of CPU time that encryption may add
HEAD = """\
| path | Roadstead | peer | | ratio by the clock | ratio by CPU time | bar | |
|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Ratio:
    """How many times as much Roadstead does: the median of the rounds, the least and the greatest."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, ours: Iterable[float | None], theirs: Iterable[float | None]) -> Ratio | None:
        """Round by round; None where one of the two is not known."""
        ratios = [one / other for one, other in zip(ours, theirs, strict=True) if one and other]
        return cls(statistics.median(ratios), min(ratios), max(ratios)) if ratios else None

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"


def line(
    where: str,
    row: Row,
    ours: Sequence[Sample],
    theirs: Sequence[Sample],
    *,
    peer: str,
    bar: float | None,
) -> str:
    clock = Ratio.of((one.rate for one in ours), (one.rate for one in theirs))
    cpu = Ratio.of((one.rate_by_cpu for one in ours), (one.rate_by_cpu for one in theirs))
    cells = [f"{where}: {row.what}", _figures(row, ours), peer, _figures(row, theirs)]
    cells += [
        str(clock),
        str(cpu) if cpu else UNKNOWN,
        f"≥ {bar:g}" if bar else UNKNOWN,
        _verdict(clock, cpu, bar),
    ]
    return f"| {' | '.join(cells)} |"


def added(where: str, row: Row, clear: Sequence[Sample], sealed: Sequence[Sample]) -> str:
    """How much more CPU time the same work takes with encryption."""
    more = Ratio.of((one.rate_by_cpu for one in clear), (one.rate_by_cpu for one in sealed))
    assert more
    share = f"{more.median - 1:+.0%} ({more.least - 1:+.0%} to {more.most - 1:+.0%}) CPU"
    verdict = "met" if more.median <= 1 + _ADDED else "**missed**"
    cells = [f"{where}: encrypted {row.what}", _figures(row, sealed), "not encrypted", _figures(row, clear)]
    return f"| {' | '.join([*cells, '', share, f'≤ {_ADDED:+.0%}', verdict])} |"


def _figures(row: Row, samples: Sequence[Sample]) -> str:
    """By the clock, and by second of CPU time."""
    by_cpu = [one.rate_by_cpu for one in samples if one.rate_by_cpu]
    clock = f"{statistics.median(one.rate for one in samples):,.0f} {row.unit}"
    return f"{clock}, {statistics.median(by_cpu):,.0f} by CPU s" if by_cpu else clock


def _verdict(clock: Ratio | None, cpu: Ratio | None, bar: float | None) -> str:
    if bar is None:
        return ""
    missed = [
        name for name, ratio in (("clock", clock), ("CPU", cpu)) if ratio is not None and ratio.median < bar
    ]
    return f"**missed** by {' and '.join(missed)}" if missed else "met"
