"""Globs over repository names: `*` stays within one path component, `**` spans several."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_STARS = re.compile(r"(\*+)")


@lru_cache(maxsize=8192)
def matches(glob: str, name: str) -> bool:
    """Whether the glob matches the whole name, in time linear in it: globs are written by tenants.

    All positions of the glob that the name read so far may have reached are the bits of one
    number, so there is nothing to go back to and no pattern that takes for ever.
    """
    pattern = _compile(glob)
    if not name.startswith(pattern.prefix):
        return False
    reached = pattern.skip(1)
    for char in name[len(pattern.prefix) :]:
        stayed = reached & (pattern.spans if char == "/" else pattern.stars)
        reached = pattern.skip(stayed | (reached & pattern.literals.get(char, 0)) << 1)
        if not reached:
            return False
    return bool(reached & pattern.end)


@dataclass(frozen=True)
class _Pattern:
    prefix: str  # up to the first star; all that follows is by position behind it
    literals: dict[str, int]  # positions where this character goes one further
    stars: int  # positions of `*` and `**`
    spans: int  # positions of `**`
    end: int

    def skip(self, reached: int) -> int:
        """A star may also stand for nothing; two never stand side by side."""
        return reached | (reached & self.stars) << 1


@lru_cache(maxsize=8192)
def _compile(glob: str) -> _Pattern:
    prefix, *rest = _STARS.split(glob)
    literals: dict[str, int] = {}
    stars = spans = 0
    position = 1
    for part in rest:
        if part.startswith("*"):
            stars |= position
            spans |= position if len(part) > 1 else 0
            position <<= 1
            continue
        for char in part:
            literals[char] = literals.get(char, 0) | position
            position <<= 1
    return _Pattern(prefix, literals, stars, spans, position)
