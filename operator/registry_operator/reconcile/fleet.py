"""What is remembered of the fleet between two reconciles, so that not each looks at all Registries.

Nothing is lost with it: all of it is found again from the statuses.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from registry_operator.desired import fleet
from registry_operator.models import Key, Registry
from registry_operator.observed import Turn
from registry_operator.settings import Settings

RECENT = timedelta(seconds=5)  # a thousand that wait look at it once in so long, and not a thousand times


class Fleet:
    """The last look at all Registries, and what each of them meant for the others."""

    def __init__(self) -> None:
        self._at: datetime | None = None
        self._turns: dict[Key, tuple[str, Turn]] = {}  # with the version of the Registry
        self._parts: dict[Key, object] = {}

    def look(self, registries: Iterable[Registry], now: datetime, settings: Settings) -> dict[Key, Turn]:
        """Whose turn it is, of all that wait."""
        there = {one.key: one for one in registries}
        found = fleet.turns(there.values(), now, settings)
        self._at = now
        self._turns = {key: (there[key].meta.resource_version, turn) for key, turn in found.items()}
        return found

    def waits(self, registry: Registry, now: datetime) -> Turn | None:
        """What the last look said to this one, if it was to wait, and nothing has changed since."""
        version, turn = self._turns.get(registry.key, ("", None))
        if self._at is None or turn is None or turn.begins or version != registry.meta.resource_version:
            return None
        is_over = turn.due is not None and turn.due <= now
        return turn if timedelta() <= now - self._at < RECENT and not is_over else None

    def meet(self, registry: Registry, settings: Settings) -> None:
        """One that was not seen before, before anything is done with it."""
        self._parts.setdefault(registry.key, fleet.part(registry, settings))

    def changed(self, key: Key, registry: Registry | None, settings: Settings) -> bool:
        """Whether what it means for the others is another than when it was met, or since the last time."""
        before = self._parts.pop(key, None)
        if registry is not None:
            self._parts[key] = fleet.part(registry, settings)
        return self._parts.get(key) != before
