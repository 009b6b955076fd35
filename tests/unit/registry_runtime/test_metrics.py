"""Prometheus' text format."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from registry_runtime.contract.exposition import Counter, Gauge, Histogram, read, render
from registry_runtime.contract.process import Process
from registry_runtime.metrics import Metrics
from registry_runtime.storage.calls import Calls


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
    gauge = Gauge("g", "G.", ("l",))
    gauge.set(1.5, 'a"b\\c\nd')
    assert render([gauge]).splitlines()[-1] == r'g{l="a\"b\\c\nd"} 1.5'


@given(st.dictionaries(st.text(), st.floats(allow_nan=False)))
def test_what_is_written_is_read_back(values: dict[str, float]) -> None:
    """Whatever a label holds; what is no sample is passed over."""
    gauge = Gauge("g", "G.", ("l",))
    for label, value in values.items():
        gauge.set(value, label)
    found = {one.labels["l"]: one.value for one in read("no sample\n" + render([gauge]) + "g{l} yes\n")}
    assert found == values


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


def test_a_gauge_is_held_while_something_runs() -> None:
    """One more while the block runs, one less behind it."""
    gauge = Gauge("g", "G.")
    with gauge.during():
        assert gauge.value() == 1
    assert gauge.value() == 0


def test_a_process_tells_of_itself() -> None:
    """The families that every dashboard of processes knows, with values of this very process."""
    lines = dict(line.rsplit(" ", 1) for line in render(Process().families()).splitlines() if line[0] != "#")
    assert float(lines["process_resident_memory_bytes"]) > 1024 * 1024
    assert float(lines["process_cpu_seconds_total"]) > 0
    assert float(lines["process_open_fds"]) > 2
    assert abs(float(lines["process_start_time_seconds"]) - time.time()) < 3600 * 24
    assert 'python_gc_collections_total{generation="2"}' in lines


def test_requests_to_the_bucket_are_counted() -> None:
    """By operation and code; without an answer, throttled, and made again."""
    metrics = Metrics()
    calls = Calls(metrics)
    calls.begin("GetObject").end(200)
    calls.begin("GetObject").end(503, throttled=True)
    calls.begin("GetObject", attempt=2).end(None)
    assert [metrics.s3_requests.value("GetObject", code) for code in ("200", "503", "none")] == [1, 1, 1]
    assert metrics.s3_throttled.value("GetObject") == 1
    assert metrics.s3_retries.value("GetObject") == 1
    assert 'roadstead_s3_request_seconds_count{operation="GetObject"} 3' in metrics.text()
