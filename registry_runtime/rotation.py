"""The tenant's keys in a running replica: followed as they are mounted, used as the policy says."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable

from registry_runtime.contract.policy import KeyUse, Policy
from registry_runtime.contract.state import EncryptionState
from registry_runtime.encryption.vault import Vault
from registry_runtime.errors import StorageError
from registry_runtime.log import fields
from registry_runtime.repository.rewrapping import Rewrap
from registry_runtime.state import StateBoard

_log = logging.getLogger(__name__)
_PAUSE = 5.0  # seconds between looks whether there is something to rewrap
_LATE = 60.0  # seconds in which a write that was begun under the key before may still arrive


class Rotation:
    """Tells the keyring which key is in use, tells the operator which are held, and rewraps."""

    def __init__(
        self,
        vault: Vault,
        policy: Callable[[], Policy],
        board: StateBoard,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._keys = vault.keys
        self._policy = policy
        self._board = board
        self._state = EncryptionState()
        self._settled: tuple[str, float] | None = None  # the turn that is, and since when

    def poll(self) -> None:
        """Looks at the files and at the policy: cheap, to be called every second."""
        self._keys.refresh()
        use = self._policy().encryption
        if use is not None:
            self._keys.use(use.active, use.id)
        self._update(
            keys=self._keys.ids,
            active=self._keys.active_name,
            problem=self._keys.problem,
        )

    async def rewrapping(self, rewrap: Rewrap, doubt: Callable[[], None]) -> None:
        """Rewraps when every replica encrypts with the key in use. It never ends."""
        while True:
            await asyncio.sleep(_PAUSE * random.uniform(0.5, 1.5))
            use = self._policy().encryption
            if use is None or not self.is_over(use):
                continue
            try:
                progress = await rewrap.run(self._keys.active.id, use.turn)
            except StorageError as error:
                doubt()
                _log.warning("the rewrapping pauses", extra=fields(error=error.message))
                continue
            if progress is not None and progress != self._state.rewrapping:
                _log.info("rewrapped", extra=fields(**progress.model_dump(mode="json")))
                self._update(rewrapping=progress)

    def is_over(self, use: KeyUse) -> bool:
        """Whether nothing that another key encrypted can come any more."""
        if not use.settled or use.active != self._keys.active_name:
            self._settled = None
        elif self._settled is None or self._settled[0] != use.turn:
            self._settled = (use.turn, self._monotonic())
        return self._settled is not None and self._monotonic() - self._settled[1] >= _LATE

    def _update(self, **news: object) -> None:
        state = self._state.model_copy(update=news)
        if state.problem != self._state.problem and state.problem is not None:
            _log.error("the tenant's keys", extra=fields(problem=state.problem))
        self._state = state
        self._board.update(encryption=state)
