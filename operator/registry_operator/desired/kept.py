"""Values that are made anew only where what they are made of is another."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
P = TypeVar("P")
V = TypeVar("V")


class Kept(Generic[K, P, V]):
    """The values of the last round, each with what it was made of.

    Nothing depends on them but time: `make` is a pure function. An equal value stays the same object, so that
    whoever is made of it sees at a glance that nothing changed. Objects that are the same are not compared.
    """

    def __init__(self, make: Callable[[K, P], V]) -> None:
        self._make = make
        self._made: dict[K, tuple[P, V]] = {}

    def all(self, parts: Mapping[K, P]) -> dict[K, V]:
        """One value of each, made of its parts."""
        before, self._made = self._made, {}
        for key, part in parts.items():
            found = before.get(key)
            if found is None:
                found = part, self._make(key, part)
            elif found[0] is not part:
                found = part, found[1] if found[0] == part else self._again(key, part, found[1])
            self._made[key] = found
        return {key: value for key, (_, value) in self._made.items()}

    def _again(self, key: K, part: P, before: V) -> V:
        made = self._make(key, part)
        return before if made == before else made
