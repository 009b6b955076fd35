"""What the operator counts, as Prometheus text (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from bisect import bisect_left
from collections.abc import Callable

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
Labels = tuple[tuple[str, str], ...]


class Counter:
    """A number for each set of labels that only grows."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._text = text
        self._values: dict[Labels, float] = {}

    def add(self, amount: float = 1, **labels: str) -> None:
        key = tuple(sorted(labels.items()))
        self._values[key] = self._values.get(key, 0) + amount

    def value(self, **labels: str) -> float:
        return self._values.get(tuple(sorted(labels.items())), 0)

    def lines(self) -> list[str]:
        head = [f"# HELP {self.name} {self._text}", f"# TYPE {self.name} counter"]
        return head + [
            f"{self.name}{_braces(labels)} {value:g}" for labels, value in sorted(self._values.items())
        ]


class Histogram:
    """How long things took, in seconds, by labels."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._text = text
        self._values: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, seconds: float, **labels: str) -> None:
        key = tuple(sorted(labels.items()))
        counts = self._values.setdefault(key, [0] * (len(BUCKETS) + 1))
        counts[bisect_left(BUCKETS, seconds)] += 1
        self._sums[key] = self._sums.get(key, 0.0) + seconds

    def lines(self) -> list[str]:
        lines = _head(self.name, "histogram", self._text)
        for labels, counts in sorted(self._values.items()):
            total = 0
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
                total += count
                lines.append(f"{self.name}_bucket{_braces((*labels, ('le', bound)))} {total}")
            lines.append(f"{self.name}_sum{_braces(labels)} {self._sums[labels]:.6f}")
            lines.append(f"{self.name}_count{_braces(labels)} {total}")
        return lines


class Gauge:
    """A number that is asked for when it is printed."""

    def __init__(self, name: str, text: str, read: Callable[[], float]) -> None:
        self.name = name
        self._text = text
        self._read = read

    def lines(self) -> list[str]:
        return [
            f"# HELP {self.name} {self._text}",
            f"# TYPE {self.name} gauge",
            f"{self.name} {self._read():g}",
        ]


class Metrics:
    """All of the operator's metrics."""

    def __init__(self) -> None:
        self.requests = Counter("roadstead_api_requests_total", "Requests to the Kubernetes API.")
        self.reconciles = Counter("roadstead_reconciles_total", "Reconciles by kind and result.")
        self.durations = Histogram("roadstead_reconcile_seconds", "How long reconciles took.")
        self.restarts = Counter("roadstead_watch_restarts_total", "Times that kopf was started anew.")
        self.healed = Counter("roadstead_sweep_healed_total", "Changes that only the sweep noticed.")
        self.gauges: list[Gauge] = []

    def request(self, verb: str, resource: str, code: int) -> None:
        self.requests.add(verb=verb, resource=resource, code=str(code))

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        self.gauges.append(Gauge(name, text, read))

    def text(self) -> str:
        metrics: tuple[Counter | Histogram | Gauge, ...] = (
            self.requests,
            self.reconciles,
            self.durations,
            self.restarts,
            self.healed,
            *self.gauges,
        )
        return "\n".join(line for metric in metrics for line in metric.lines()) + "\n"


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
