"""The keys of one issuer, kept: issuers rotate them, and may be away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from registry_runtime.auth.id_token import Key, Published
from registry_runtime.errors import IssuerUnavailable
from registry_runtime.log import fields

_log = logging.getLogger(__name__)
_FRESH_SECONDS = 600.0  # then they are asked for again
_KEPT_SECONDS = 6 * 3600.0  # for as long they are used while the issuer does not answer
_PAUSE_SECONDS = 5.0  # at least, between two questions, whatever keys tokens name
_AWAY_SECONDS = 30.0  # between two questions of an issuer that is away, while its keys are used
_RETRY_SECONDS = 5.0


class IssuerKeys:
    """Asks again as the keys age, and where a token names a key that is not there: once for all who wait.

    `ask` raises OSError, TimeoutError or ValueError where there is no good answer; `clock` is monotonic.
    """

    def __init__(
        self, name: str, ask: Callable[[], Awaitable[Published]], clock: Callable[[], float]
    ) -> None:
        self._name = name
        self._ask = ask
        self._clock = clock
        self._published: Published | None = None
        self._heard = 0.0  # when it answered last
        self._asked: float | None = None  # when it was asked last
        self._problem: str | None = None  # why it is away, as far as it was asked
        self._flight: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None) -> tuple[Key, ...]:
        """The keys of this id; none where the issuer says so itself. Raises IssuerUnavailable."""
        if self._known is None or self._aged or not self._known.keys.find(key_id):
            named = self._known is not None and bool(self._known.keys.find(key_id))
            await self._renew(_AWAY_SECONDS if named and self._away else _PAUSE_SECONDS)
        found = self._good().keys.find(key_id)
        if not found and self._away:
            raise self._unavailable()
        return found

    async def look(self) -> str | None:
        """What keeps it from saying its keys, or None. It is asked as they age, and while it is away."""
        if self._away or self._known is None or self._aged:
            await self._renew(_AWAY_SECONDS)
        return self._problem

    async def issuer(self) -> str:
        """As it names itself. Raises IssuerUnavailable."""
        if self._known is None:
            await self._renew(_PAUSE_SECONDS)
        return self._good().issuer

    @property
    def _known(self) -> Published | None:
        return self._published if self._clock() - self._heard <= _KEPT_SECONDS else None

    @property
    def _away(self) -> bool:
        return self._problem is not None

    @property
    def _aged(self) -> bool:
        return self._clock() - self._heard > _FRESH_SECONDS

    def _good(self) -> Published:
        if self._known is None:
            raise self._unavailable()
        return self._known

    def _unavailable(self) -> IssuerUnavailable:
        return IssuerUnavailable(
            "the issuer of your token does not answer, so the token cannot be verified: try again",
            retry_after=_RETRY_SECONDS,
        )

    async def _renew(self, pause: float) -> None:
        if self._flight is None:
            if self._asked is not None and self._clock() - self._asked < pause:
                return
            self._flight = asyncio.ensure_future(self._hear())
        await asyncio.shield(self._flight)

    async def _hear(self) -> None:
        """Never raises: what is known stays."""
        try:
            self._published = await self._ask()
        except (OSError, TimeoutError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
            if not self._away:
                _log.warning(
                    "an issuer does not say its keys; those that are known stay in use",
                    extra=fields(issuer=self._name, error=problem),
                )
            self._problem = problem
        else:
            self._heard, self._problem = self._clock(), None
        finally:
            self._asked, self._flight = self._clock(), None
