"""What is found by something else than its name."""

from collections.abc import Callable, Hashable, Iterable, KeysView, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

from registry_operator.models import Key

T = TypeVar("T")
By = TypeVar("By", bound=Hashable)


class Index(Generic[T, By]):
    """Objects by the values that each has; those of one value in the order in which they came."""

    def __init__(self, of: Callable[[T], Iterable[By]]) -> None:
        self._of: Callable[[T], Iterable[By]] = of
        self._found: dict[By, dict[Key, T]] = {}

    def get(self, value: By) -> Mapping[Key, T]:
        """By name. Not to be kept: it changes."""
        return self._found.get(value, MappingProxyType({}))

    def values(self) -> KeysView[By]:
        """That some object has. Not to be kept: it changes."""
        return self._found.keys()

    def move(self, key: Key, before: T | None, after: T | None) -> None:
        """What the object of this name was, and what it is."""
        old = set(self._of(before)) if before is not None else set()
        new = set(self._of(after)) if after is not None else set()
        for value in old - new:
            del self._found[value][key]
            if not self._found[value]:
                del self._found[value]
        if after is not None:
            for value in new:
                self._found.setdefault(value, {})[key] = after
