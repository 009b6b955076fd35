"""Requests that were let through before: the same one is let through again without a look at the policy.

A decision depends on the credentials, the door, the repository, the action, the policy and the time. The
first four are the key; with another policy, or another key that signs bearers, everything is forgotten; and
each entry ends when the first of its bearer and its AccessToken does. A refusal is never remembered: it is
counted, and may be another one the next time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry_runtime.auth.decision import Decision
    from registry_runtime.auth.identity import Endpoint, Identity
    from registry_runtime.contract.policy import Action

_MOST = 16 * 1024 * 1024  # bytes of memory in all
_LONGEST = 4 * 1024  # bytes of credentials
_EACH = 1024  # bytes that an entry takes beside them

Key = tuple[bytes | None, "Endpoint", str, "Action"]  # the header, the repository as it was asked for


@dataclass(frozen=True, slots=True)
class Passed:
    """Who was let through, and why; `until` is in seconds of Unix, `account` that of a token.

    `told` is what audit records say of it.
    """

    identity: Identity
    decision: Decision
    until: float
    account: str | None = None
    told: str = ""


class Remembered:
    """The oldest go first when there is no room."""

    def __init__(self, most: int = _MOST) -> None:
        self._room = most
        self._passed: dict[Key, Passed] = {}
        self._order: deque[Key] = deque()

    def find(self, key: Key, now: float) -> Passed | None:
        """`now` is in seconds of Unix."""
        passed = self._passed.get(key)
        return passed if passed is not None and now < passed.until else None

    def keep(self, key: Key, passed: Passed) -> None:
        if len(key[0] or b"") > _LONGEST or key in self._passed:
            return
        self._passed[key] = passed
        self._order.append(key)
        self._room -= _cost(key)
        while self._room < 0:
            oldest = self._order.popleft()
            del self._passed[oldest]
            self._room += _cost(oldest)


def _cost(key: Key) -> int:
    return _EACH + len(key[0] or b"") + len(key[2])
