"""Drift that was repaired, told in Events: what, where, by whom; and that somebody fights, if it goes on."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from registry_operator.cluster.api import MANAGER
from registry_operator.events import Note
from registry_operator.models import Key, Place, Registry
from registry_operator.reconcile.drift import Path, text

REPAIRED, CONTESTED = "DriftRepaired", "DriftContested"  # reasons of Events
SHOWN = 5  # fields
FIGHT = 5  # repairs of one object within PERIOD
PERIOD = 600.0  # seconds
EVERY = 60.0  # seconds between two Events of one fight: what happened between them is counted
FORGOTTEN = 1024  # objects after which old ones are dropped


class Drift(NamedTuple):
    """What another hand did to a child: in which fields, none where it was deleted; `who`, where known.

    `anew`: it had a password that is lost, or is no way in, and has another one now.
    """

    kind: str
    key: Key
    fields: tuple[Path, ...] = ()
    who: str = ""
    anew: bool = False

    def __str__(self) -> str:
        by = f" by {self.who}" if self.who else " by another hand"
        if not self.fields:
            return f"{self.kind} {self.key} was deleted{by}"
        more = f" and {len(self.fields) - SHOWN} more" if len(self.fields) > SHOWN else ""
        return f"{self.kind} {self.key}: {', '.join(map(text, self.fields[:SHOWN]))}{more} was changed{by}"

    @property
    def mended(self) -> str:
        """What came of it."""
        if self.anew:
            return "another password was made"
        return "it is as it was" if self.fields else "it was made again"


@dataclass
class _Past:
    """Of one object: when it was repaired, how often since the last Event, and when that was."""

    times: list[float] = field(default_factory=list)
    silent: int = 0
    told: float = float("-inf")


class Repairs:
    """Which repairs are told. `now` is in seconds of any monotonic clock."""

    def __init__(self) -> None:
        self._past: dict[Place, _Past] = {}

    def note(self, drift: Drift, now: float, owner: str) -> Note | None:
        """The Event of this repair; None where one of the same fight was told just now. `owner` is a kind."""
        place = drift.kind, drift.key
        past = self._past.pop(place, None) or _Past()
        self._past[place] = past  # the last ones stay
        if len(self._past) > FORGOTTEN:
            del self._past[next(iter(self._past))]
        past.times = [*(one for one in past.times if one > now - PERIOD), now][-100:]
        if len(past.times) < FIGHT:
            past.told = now
            return Note("Normal", REPAIRED, "Repair", f"{drift}; {drift.mended}")
        past.silent += 1
        if len(past.times) > FIGHT and past.told > now - EVERY:
            return None
        count, past.silent, past.told = past.silent, 0, now
        pause = ", or pause this Registry" if owner == Registry.KIND else ""
        why = f"{drift}, and repaired, again and again: stop the other one{pause}"
        return Note("Warning", CONTESTED, "Repair", why, count)


def who(managed: Iterable[Mapping[str, Any]], fields: Collection[Path]) -> str:
    """The field managers, other than ours, that have one of these fields; "" where none is known.

    `managed` is `metadata.managedFields`; what was taken away has nobody any more.
    """
    found = {
        str(entry.get("manager", ""))
        for entry in managed
        if entry.get("manager") != MANAGER and entry.get("subresource") != "status"
        and any(_has(entry.get("fieldsV1") or {}, path) for path in fields)
    }  # fmt: skip
    return ", ".join(sorted(found - {""}))


def _has(owned: Mapping[str, Any], path: Path) -> bool:
    """Whether the set of fields has what lies at the path. Within lists it has keys of its own."""
    for step in path:
        if isinstance(step, int):
            return True
        if f"f:{step}" not in owned:
            return False
        owned = owned[f"f:{step}"]
    return True
