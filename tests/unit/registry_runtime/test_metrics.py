"""Prometheus' text format."""

from __future__ import annotations

from registry_runtime.metrics import Counter, Gauge, Histogram, render


def test_a_counter_counts_for_each_combination_of_labels() -> None:
    """Lines with help, type, labels and values; bytes beyond a float's short form stay exact."""
    counter = Counter("things_total", "Things.", ("kind",))
    counter.add(1, "a")
    counter.add(2, "a")
    counter.add(2**40 + 1, "b")
    assert render([counter]) == (
        "# HELP things_total Things.\n"
        "# TYPE things_total counter\n"
        'things_total{kind="a"} 3\n'
        f'things_total{{kind="b"}} {2**40 + 1}\n'
    )


def test_labels_are_escaped() -> None:
    """Quotes, backslashes and line breaks stay within their quotes."""
    gauge = Gauge("g", "G.", ("l",), lambda: {('a"b\\c\nd',): 1.5})
    assert render([gauge]).splitlines()[-1] == r'g{l="a\"b\\c\nd"} 1.5'


def test_a_histogram_is_cumulative() -> None:
    """Each bucket holds all that is not above it, on its bound too; sum and count agree."""
    histogram = Histogram("h", "H.", ("m",))
    for seconds in (0.001, 0.0011, 0.3, 1000):
        histogram.observe(seconds, "x")
    lines = dict(line.rsplit(" ", 1) for line in render([histogram]).splitlines() if line[0] != "#")
    assert lines['h_bucket{m="x",le="0.001"}'] == "1"
    assert lines['h_bucket{m="x",le="0.0025"}'] == "2"
    assert lines['h_bucket{m="x",le="0.5"}'] == "3"
    assert lines['h_bucket{m="x",le="60.0"}'] == "3"
    assert lines['h_bucket{m="x",le="+Inf"}'] == "4"
    assert lines['h_count{m="x"}'] == "4"
    assert float(lines['h_sum{m="x"}']) == 0.001 + 0.0011 + 0.3 + 1000
