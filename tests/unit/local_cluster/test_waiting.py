"""Waiting up to a deadline."""

from __future__ import annotations

import time

import pytest

from local_cluster.errors import TookTooLong
from local_cluster.waiting import until


def test_it_ends_as_soon_as_it_is_so() -> None:
    """Not at the next full second."""
    answers = iter([False, False, True])
    started = time.monotonic()

    until(lambda: next(answers), 5, lambda: "never")

    assert time.monotonic() - started < 1


def test_it_ends_with_what_was_waited_for() -> None:
    """And how long."""
    with pytest.raises(TookTooLong, match=r"the bus does not come \(waited 0 s\)"):
        until(lambda: False, 0.02, lambda: "the bus does not come")


def test_what_cannot_come_any_more_is_reported_at_once() -> None:
    """An error of the question goes through."""
    with pytest.raises(ZeroDivisionError):
        until(lambda: bool(1 // 0), 60, lambda: "never")
