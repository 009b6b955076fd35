"""Whether those who vouch for identities can be asked: known before a login fails for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from registry_runtime.contract.policy import Policy
from registry_runtime.state import StateBoard

_LOOK = 1.0  # seconds between looks at the policy
_AGAIN = {True: 60.0, False: 5.0, None: 5.0}  # seconds between questions, by the last answer


class Reviewing:
    """Asks the cluster only while the policy wants tokens reviewed. `ticks` is monotonic.

    `permitted` raises OSError, TimeoutError or ValueError where the cluster does not say.
    """

    def __init__(
        self,
        policy: Callable[[], Policy],
        permitted: Callable[[], Awaitable[bool]],
        board: StateBoard,
        ticks: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._permitted = permitted
        self._board = board
        self._ticks = ticks
        self._answer: bool | None = None
        self._due = 0.0

    async def run(self) -> None:
        """It never ends."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK)

    async def look(self) -> None:
        """Tells the operator; what was known stays while the cluster does not answer."""
        provider = self._policy().kubernetes
        if provider is None or not provider.review:
            self._answer, self._due = None, 0.0
        elif self._ticks() >= self._due:
            with suppress(OSError, TimeoutError, ValueError):
                self._answer = await self._permitted()
            self._due = self._ticks() + _AGAIN[self._answer]
        self._board.update(reviews_tokens=self._answer)


class Issuers:
    """Tells the operator which issuers of ID tokens do not say their keys; so they are known before a login.

    `look` gives it by provider.
    """

    def __init__(self, look: Callable[[], Awaitable[dict[str, str | None]]], board: StateBoard) -> None:
        self._look = look
        self._board = board

    async def run(self) -> None:
        """It never ends."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK)

    async def look(self) -> None:
        self._board.update(issuers=await self._look())
