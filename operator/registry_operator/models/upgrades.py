"""When the pods of a Registry change to another release of the runtime."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from registry_operator.models.base import Value, rules, seconds

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY = timedelta(days=1)


class Window(Value):
    """A time of the week in which upgrades may begin. What has begun is not broken off at its end."""

    days: Annotated[
        tuple[Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], ...],
        Field(
            max_length=7,
            description="Days on which it begins; none: every day.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ()
    start: Annotated[
        str,
        Field(
            max_length=5,
            pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$",
            description="When it begins: HH:MM, in UTC.",
        ),
    ]
    duration: Annotated[
        str,
        Field(
            max_length=5,
            pattern=r"^[1-9][0-9]{0,3}(m|h)$",
            description="How long it is open: 10m to 24h.",
            json_schema_extra=rules(
                (
                    "duration(self) >= duration('10m') && duration(self) <= duration('24h')",
                    "duration must be from 10m to 24h",
                ),
            ),
        ),
    ]

    def is_open(self, now: datetime) -> bool:
        """Whether `now` is within it; one that began yesterday may still be open."""
        length = timedelta(seconds=seconds(self.duration))
        return any(begin <= now < begin + length for begin in self._begins(now, (-1, 0)))

    def opens(self, now: datetime) -> datetime:
        """When it begins next."""
        return min(begin for begin in self._begins(now, range(9)) if begin > now)

    def _begins(self, now: datetime, days: Iterable[int]) -> list[datetime]:
        """When it begins within so many days from that of `now`."""
        at = time.fromisoformat(self.start)
        every = (datetime.combine(now.astimezone(UTC).date() + day * DAY, at, UTC) for day in days)
        return [begin for begin in every if not self.days or DAYS[begin.weekday()] in self.days]


class Upgrades(Value):
    """Who begins an upgrade, and when."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.policy == 'Automatic' || !has(self.windows) || size(self.windows) == 0",
                "spec.upgrades.windows need spec.upgrades.policy: Automatic",
            ),
        )
    )

    policy: Annotated[
        Literal["Manual", "Automatic"],
        Field(
            description=(
                "Manual: pods change to another release only by the annotation roadstead.dev/upgrade-to. "
                "Automatic: when it is this Registry's turn among those of the cluster."
            )
        ),
    ] = "Manual"
    windows: Annotated[
        tuple[Window, ...],
        Field(
            max_length=14,
            description="When an automatic upgrade may begin; none: at any time.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()

    def may_begin(self, now: datetime) -> bool:
        return not self.windows or any(window.is_open(now) for window in self.windows)

    def opens(self, now: datetime) -> datetime | None:
        """When the next window begins; None where there is none."""
        return min((window.opens(now) for window in self.windows), default=None)
