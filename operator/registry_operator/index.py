"""What is found by something else than its name."""

from collections.abc import Callable, Hashable, Iterable, KeysView, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

from registry_operator.models import Key

T = TypeVar("T")
By = TypeVar("By", bound=Hashable)
_NONE: Mapping[Key, None] = MappingProxyType({})


class Index(Generic[T, By]):
    """Keys of objects by the values that each has; those of one value in the order in which they came."""

    def __init__(self, of: Callable[[T], Iterable[By]]) -> None:
        self._of: Callable[[T], Iterable[By]] = of
        self._found: dict[By, dict[Key, None]] = {}

    def get(self, value: By) -> Mapping[Key, None]:
        """Not to be kept: it changes."""
        return self._found.get(value, _NONE)

    def values(self) -> KeysView[By]:
        """That some object has. Not to be kept: it changes."""
        return self._found.keys()

    def move(self, key: Key, before: T | None, after: T | None) -> None:
        old = set(self._of(before)) if before is not None else set()
        new = set(self._of(after)) if after is not None else set()
        for value in old - new:
            del self._found[value][key]
            if not self._found[value]:
                del self._found[value]
        for value in new - old:
            self._found.setdefault(value, {})[key] = None
