"""Bearers whose signature was verified before."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry_runtime.auth.tokens import Claims

_MOST = 16 * 1024 * 1024  # bytes of memory in all
_LONGEST = 4 * 1024  # bytes of a bearer: that of a usual push has 500
_EACH = 1536  # bytes that an entry takes beside its text, and what grows with it
_GROWTH = 3  # bytes of claims for each byte of the text, at most


class Verified:
    """Claims by their bearer's own text; the oldest go first when there is no room.

    A client chooses how long its bearers are, and there may be one for each of its requests: so what is
    bounded is memory, and a long one is rather verified again (0.1 ms).
    """

    def __init__(self, most: int = _MOST) -> None:
        self._room = most
        self._claims: dict[str, Claims] = {}
        self._order: deque[str] = deque()

    def find(self, text: str) -> Claims | None:
        return self._claims.get(text)

    def keep(self, text: str, claims: Claims) -> None:
        if len(text) > _LONGEST or text in self._claims:
            return
        self._claims[text] = claims
        self._order.append(text)
        self._room -= _cost(text)
        while self._room < 0:
            oldest = self._order.popleft()
            del self._claims[oldest]
            self._room += _cost(oldest)


def _cost(text: str) -> int:
    return _EACH + (1 + _GROWTH) * len(text)
