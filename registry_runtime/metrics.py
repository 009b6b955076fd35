"""Counters, gauges and histograms, written as Prometheus' text format (version 0.0.4).

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping

_Labels = tuple[str, ...]
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class Counter:
    """Grows only; one value for each combination of labels."""

    kind = "counter"

    def __init__(self, name: str, meaning: str, labels: _Labels = ()) -> None:
        self.name = name
        self.meaning = meaning
        self._labels = labels
        self._values: dict[_Labels, float] = {}

    def add(self, amount: float = 1, *labels: str) -> None:
        self._values[labels] = self._values.get(labels, 0) + amount

    def samples(self) -> Iterator[str]:
        for labels, value in self._values.items():
            yield f"{self.name}{_braces(dict(zip(self._labels, labels, strict=True)))} {value:.17g}"


class Gauge:
    """Asked for when it is read: `read` gives values by labels."""

    kind = "gauge"

    def __init__(
        self, name: str, meaning: str, labels: _Labels, read: Callable[[], Mapping[_Labels, float]]
    ) -> None:
        self.name = name
        self.meaning = meaning
        self._labels = labels
        self._read = read

    def samples(self) -> Iterator[str]:
        for labels, value in self._read().items():
            yield f"{self.name}{_braces(dict(zip(self._labels, labels, strict=True)))} {value:.17g}"


class Histogram:
    """Seconds, in buckets from a millisecond to a minute."""

    kind = "histogram"

    def __init__(self, name: str, meaning: str, labels: _Labels = ()) -> None:
        self.name = name
        self.meaning = meaning
        self._labels = labels
        self._counts: dict[_Labels, list[int]] = {}
        self._sums: dict[_Labels, float] = {}

    def observe(self, seconds: float, *labels: str) -> None:
        counts = self._counts.setdefault(labels, [0] * (len(_SECONDS) + 1))
        counts[bisect_left(_SECONDS, seconds)] += 1
        self._sums[labels] = self._sums.get(labels, 0) + seconds

    def samples(self) -> Iterator[str]:
        for labels, counts in self._counts.items():
            named = dict(zip(self._labels, labels, strict=True))
            total = 0
            for bound, count in zip([*map(str, _SECONDS), "+Inf"], counts, strict=True):
                total += count
                yield f"{self.name}_bucket{_braces({**named, 'le': bound})} {total}"
            yield f"{self.name}_sum{_braces(named)} {self._sums[labels]:.17g}"
            yield f"{self.name}_count{_braces(named)} {total}"


Metric = Counter | Gauge | Histogram


def render(metrics: list[Metric]) -> str:
    """The page that Prometheus scrapes."""
    lines = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {metric.meaning}", f"# TYPE {metric.name} {metric.kind}"]
        lines += metric.samples()
    return "\n".join(lines) + "\n"


def _braces(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
