"""Who is asking, and by which door."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from registry_runtime.auth.scope import Scopes


class Endpoint(StrEnum):
    """The listener that a request came in by: a property of the socket, never of a header."""

    PUBLIC = "public"
    PRIVATE = "private"


@dataclass(frozen=True)
class Identity:
    """An AccessToken by its id, or anybody (`token` is None).

    `scopes` narrows what a bearer may be used for (None: a password, not narrowed).
    `lapsed` is for how many seconds the bearer's own time is over (None: it is not); only work that
    it began may still be ended. `expires` is when that time is over, in seconds of Unix.
    """

    token: str | None = None
    scopes: Scopes | None = None
    lapsed: float | None = None
    expires: int | None = None

    def renewed(self) -> Self:
        return replace(self, lapsed=None)


ANYBODY = Identity()
