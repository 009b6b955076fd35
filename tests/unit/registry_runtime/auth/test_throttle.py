"""Failed logins."""

from __future__ import annotations

from registry_runtime.auth.throttle import Throttle


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_source_has_a_burst_and_then_waits() -> None:
    """After the burst a failure costs a wait, which time makes good again."""
    clock = Clock()
    throttle = Throttle(burst=3, per_second=1, clock=clock)
    assert [throttle.failed("192.0.2.1", None) for _ in range(3)] == [0, 0, 0]
    assert throttle.failed("192.0.2.1", None) == 1
    assert throttle.failed("192.0.2.2", None) == 0
    clock.now = 1
    assert throttle.failed("192.0.2.1", None) == 0


def test_a_token_is_guarded_against_many_sources() -> None:
    """Guesses at one token from everywhere share that token's bucket."""
    throttle = Throttle(burst=3, per_second=1, clock=Clock())
    waits = [throttle.failed(f"192.0.2.{n}", "robot") for n in range(5)]
    assert waits == [0, 0, 0, 1, 1]
    assert throttle.failed("192.0.2.9", "other") == 0


def test_a_host_is_its_whole_ipv6_network() -> None:
    """Who owns a /64 has one bucket, not 2^64."""
    throttle = Throttle(burst=1, per_second=1, clock=Clock())
    assert throttle.failed("2001:db8::1", None) == 0
    assert throttle.failed("2001:db8::ffff:2", None) == 1
    assert throttle.failed("2001:db8:0:1::1", None) == 0


def test_the_table_is_bounded() -> None:
    """However many sources there are, what is remembered has a limit."""
    throttle = Throttle(most=100, clock=Clock())
    for number in range(10_000):
        throttle.failed(f"10.0.{number // 256}.{number % 256}", f"t{number}")
    assert len(throttle._buckets) == 100
