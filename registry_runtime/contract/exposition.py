"""Counters, gauges and histograms of a program; Prometheus' text of them (version 0.0.4), written and read.

Names end with their unit or, of counters, with `_total`; times are seconds, moments are seconds of Unix.
Labels have few values: never a repository, a tag, a digest, a person or a token.
https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

Labels = tuple[str, ...]
Values = Mapping[Labels, float]
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


class _Numbers:
    """A number for each combination of labels: kept here, or asked for when it is read."""

    kind = "untyped"

    def __init__(self, name: str, meaning: str, labels: Labels = ()) -> None:
        self.name = name
        self.meaning = meaning
        self.labels = labels
        self._values: dict[Labels, float] = {}
        self._read: Callable[[], Values] = lambda: self._values

    def add(self, amount: float = 1, *labels: str) -> None:
        self._values[labels] = self._values.get(labels, 0) + amount

    def value(self, *labels: str) -> float:
        return self._read().get(labels, 0)

    def reads(self, read: Callable[[], Values]) -> None:
        """From now on the values are those that `read` gives."""
        self._read = read

    def reads_one(self, read: Callable[[], float | None]) -> None:
        """The same without labels; None is no sample."""
        self._read = lambda: {} if (value := read()) is None else {(): value}

    def samples(self) -> Iterator[str]:
        for labels, value in self._read().items():
            yield f"{self.name}{_braces(dict(zip(self.labels, labels, strict=True)))} {value:.17g}"


class Counter(_Numbers):
    """Grows only."""

    kind = "counter"

    def __init__(self, name: str, meaning: str, labels: Labels = ()) -> None:
        super().__init__(name, meaning, labels)
        if not labels:
            self.add(0)  # a rate needs the sample before the first one


class Gauge(_Numbers):
    """Goes up and down."""

    kind = "gauge"

    def set(self, value: float, *labels: str) -> None:
        self._values[labels] = value

    @contextmanager
    def during(self, *labels: str) -> Iterator[None]:
        """One more while the block runs."""
        self.add(1, *labels)
        try:
            yield
        finally:
            self.add(-1, *labels)


class Histogram:
    """Seconds, in buckets from a millisecond to a minute."""

    kind = "histogram"

    def __init__(self, name: str, meaning: str, labels: Labels = ()) -> None:
        self.name = name
        self.meaning = meaning
        self.labels = labels
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, seconds: float, *labels: str) -> None:
        counts = self._counts.get(labels)
        if counts is None:
            counts = self._counts[labels] = [0] * (len(SECONDS) + 1)
            self._sums[labels] = 0.0
        counts[bisect_left(SECONDS, seconds)] += 1
        self._sums[labels] += seconds

    def samples(self) -> Iterator[str]:
        for labels, counts in self._counts.items():
            named = dict(zip(self.labels, labels, strict=True))
            total = 0
            for bound, count in zip([*map(str, SECONDS), "+Inf"], counts, strict=True):
                total += count
                yield f"{self.name}_bucket{_braces({**named, 'le': bound})} {total}"
            yield f"{self.name}_sum{_braces(named)} {self._sums[labels]:.17g}"
            yield f"{self.name}_count{_braces(named)} {total}"


Family = Counter | Gauge | Histogram


class Families:
    """All that a program counts: each family is an attribute, declared once and in one place."""

    def families(self) -> list[Family]:
        return [one for one in vars(self).values() if isinstance(one, Counter | Gauge | Histogram)]

    def text(self) -> str:
        """The page that Prometheus scrapes."""
        return render(self.families())


def render(families: Iterable[Family]) -> str:
    lines = []
    for family in families:
        lines += [f"# HELP {family.name} {family.meaning}", f"# TYPE {family.name} {family.kind}"]
        lines += family.samples()
    return "\n".join(lines) + "\n"


class Sample(NamedTuple):
    """A line of a page."""

    name: str
    labels: dict[str, str]
    value: float


def read(text: str) -> Iterator[Sample]:
    """The samples of a page; what is none is passed over, for it may be of anybody."""
    for line in text.split("\n"):
        found = _SAMPLE.fullmatch(line)
        if found is None:
            continue
        labels = {name: _ESCAPED.sub(_unescaped, value) for name, value in _LABEL.findall(found[2] or "")}
        try:
            yield Sample(found[1], labels, float(found[3]))
        except ValueError:
            continue


def _braces(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _unescaped(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]
