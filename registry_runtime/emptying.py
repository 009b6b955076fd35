"""The pod that deletes all content of a Registry that goes: it serves nobody, and tells how far it is.

It runs in the replicas' place, with their configuration, once all of them have ended. It does not end by
itself: what it tells would be gone with it. Whoever started it stops it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from datetime import UTC, datetime

from registry_runtime import app
from registry_runtime.api.health import Health
from registry_runtime.api.state import States
from registry_runtime.contract.config import RuntimeConfig
from registry_runtime.contract.exposition import Families
from registry_runtime.contract.state import StorageReason, StorageState
from registry_runtime.errors import StorageError
from registry_runtime.listener import Listener
from registry_runtime.log import fields
from registry_runtime.repository.emptying import Emptying
from registry_runtime.state import StateBoard
from registry_runtime.storage import open_storage
from registry_runtime.tls import ServedCertificate

_log = logging.getLogger(__name__)
_PAUSES = (1.0, 30.0)  # seconds until what failed is tried again, doubled up to the second
_TOLD = 2.0  # seconds between two words on how far it is


class EmptyingPod:
    """From the configuration to the end of the pod."""

    def __init__(self, config: RuntimeConfig, pod: str, zone: str) -> None:
        """Raises CertificateInvalid."""
        self._config = config
        self._board = StateBoard(pod, zone, datetime.now(UTC))
        internal = config.tls.internal
        self._certificate = ServedCertificate.of(internal, clients=True) if internal is not None else None
        self.listeners: dict[str, Listener] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Empties, and tells of it until `stop`. Raises ListenError."""
        storage = await open_storage(self._config.storage)
        emptying = Emptying(storage, self._config.owner)
        self.listeners.update(self._listeners())
        try:
            for listener in self.listeners.values():
                await listener.start()
            async with asyncio.TaskGroup() as group:
                jobs = [
                    group.create_task(self._tick()),
                    group.create_task(self._tell(emptying)),
                    group.create_task(self._empty(emptying)),
                ]
                await stop.wait()
                for job in jobs:
                    job.cancel()
        finally:
            for listener in self.listeners.values():
                listener.stop_accepting()
                await listener.cut()
            await storage.close()

    def _listeners(self) -> dict[str, Listener]:
        address, ports = self._config.listeners.address, self._config.listeners
        made = {}
        if ports.internal is not None and self._certificate is not None:
            states = app.state_app(States(self._board))
            where = (address, ports.internal)
            made["internal"] = Listener("internal", states, where, tls=self._certificate)
        if ports.probes is not None:
            # Never ready, so no Service sends anybody here.
            probes = app.probes_app(Health(lambda: "the content is being deleted", Families()))
            made["probes"] = Listener("probes", probes, (address, ports.probes))
        return made

    async def _empty(self, emptying: Emptying) -> None:
        """Whatever fails is told, and tried again: credentials may come back, and a network too."""
        pause = _PAUSES[0]
        where = fields(registry=self._config.registry)
        _log.info("the content is being deleted", extra=where)
        while not emptying.state.done:
            before = emptying.state.objects
            try:
                await emptying.run()
            except StorageError as error:
                _log.warning("not deleted yet", extra=fields(reason=error.reason, error=error.message))
                self._show(emptying, StorageState(reason=error.reason, message=error.message))
                pause = _PAUSES[0] if emptying.state.objects > before else min(_PAUSES[1], pause * 2)
                await asyncio.sleep(pause * random.uniform(0.5, 1))
        self._show(emptying, StorageState(reason=StorageReason.READY))
        _log.info("the content is deleted", extra=fields(**emptying.state.model_dump(mode="json")))

    async def _tell(self, emptying: Emptying) -> None:
        while True:
            await asyncio.sleep(_TOLD)
            self._board.update(emptying=emptying.state)

    def _show(self, emptying: Emptying, storage: StorageState) -> None:
        self._board.update(emptying=emptying.state, storage=storage)

    async def _tick(self) -> None:
        """Once a second: the certificate may be a new one, and clients may take nothing."""
        while True:
            for listener in self.listeners.values():
                listener.tick(time.time())
            if self._certificate is not None:
                self._certificate.refresh()
            await asyncio.sleep(1)
