"""Who is asking, and by which door."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from registry_runtime.auth.scope import Scopes
from registry_runtime.contract import subject
from registry_runtime.contract.subject import KUBERNETES, SELF_CHECK


class Endpoint(StrEnum):
    """The listener that a request came in by: a property of the socket, never of a header."""

    PUBLIC = "public"
    PRIVATE = "private"


@dataclass(frozen=True)
class Identity:
    """An AccessToken by its id, somebody for whom a provider vouches, or anybody.

    `scopes` narrows what a bearer may be used for (None: a password, not narrowed).
    `lapsed` is for how many seconds the time of its bearer, or of the AccessToken behind that, is over
    (None: it is not); only work that it began may still be ended, and then it is `timeless`: neither is
    looked at. `expires` is when the bearer's time is over, in seconds of Unix.
    `subjects` are those of the policy (`contract.subject`) that a provider's word makes of `name`, by its
    `rules` at that time ("": by whatever it has).
    `source` is the address of the client.
    """

    token: str | None = None
    scopes: Scopes | None = None
    lapsed: float | None = None
    expires: int | None = None
    provider: str = ""
    name: str = ""
    subjects: frozenset[str] = frozenset()
    source: str = ""
    timeless: bool = False
    rules: str = ""

    @property
    def anonymous(self) -> bool:
        return self.token is None and not self.provider

    @property
    def is_replica(self) -> bool:
        """Whether it is a replica that checks itself: nobody else can sign such a bearer."""
        return self.provider == SELF_CHECK

    @property
    def who(self) -> str:
        """As it stands in logs and in what it pushed; "" for anybody."""
        return self.token or (f"{self.provider}:{self.name}" if self.provider else "")

    def renewed(self) -> Self:
        return replace(self, lapsed=None, timeless=True)


ANYBODY = Identity()


def service_account(namespace: str, name: str) -> Identity:
    """The ServiceAccount of this cluster, as its token makes it known."""
    mine = frozenset({subject.service_account(namespace, name), subject.service_account(namespace)})
    return Identity(provider=KUBERNETES, name=f"{namespace}/{name}", subjects=mine)
