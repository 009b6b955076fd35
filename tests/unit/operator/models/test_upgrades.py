"""Windows of the week, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from registry_operator.models import Upgrades, Window

SATURDAY = datetime(2026, 11, 21, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
WINDOWS = st.builds(
    lambda days, hour, minute, length: Window(
        days=tuple(days), start=f"{hour:02}:{minute:02}", duration=f"{length}m"
    ),
    st.sets(st.sampled_from(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])),
    st.integers(0, 23),
    st.integers(0, 59),
    st.integers(10, 1440),
)


def window(**changes: Any) -> Window:
    return Window.model_validate({"days": ["Sat"], "start": "22:00", "duration": "4h", **changes})


@pytest.mark.parametrize(
    ("hours", "is_open"), [(-1, False), (21.9, False), (22, True), (25.9, True), (26, False), (46, False)]
)
def test_a_window_goes_over_midnight(hours: float, is_open: bool) -> None:
    """Its day is the one on which it begins; its end is not within it."""
    assert window().is_open(SATURDAY + timedelta(hours=hours)) is is_open


def test_a_window_without_days_is_one_of_each_day() -> None:
    """From midnight for a day it is always open."""
    every = window(days=[], start="00:00", duration="24h")
    assert all(every.is_open(SATURDAY + timedelta(hours=hours)) for hours in range(200))


def test_the_next_window_is_the_first_of_all() -> None:
    """After Saturday's comes Wednesday's; a Registry without windows waits for none."""
    both = Upgrades(policy="Automatic", windows=(window(), window(days=["Wed"], start="03:00")))
    assert both.opens(SATURDAY) == SATURDAY + timedelta(hours=22)
    assert both.opens(SATURDAY + timedelta(hours=22)) == SATURDAY + timedelta(days=4, hours=3)
    assert Upgrades().opens(SATURDAY) is None
    assert Upgrades().may_begin(SATURDAY)


@given(WINDOWS, MOMENTS)
def test_a_window_opens_when_it_says(window: Window, now: datetime) -> None:
    """It opens within eight days, is open then and, unless it never closes, was not a moment before."""
    opens = window.opens(now)
    assert now < opens <= now + timedelta(days=8)
    assert window.is_open(opens)
    if window.duration != "1440m":
        assert not window.is_open(opens - timedelta(seconds=1))
