"""The periodic collection of a replica: when, and what is told of it. Replicas take turns."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import timedelta

from registry_runtime.contract.config import Collection as Settings
from registry_runtime.contract.state import CollectionState
from registry_runtime.errors import StorageError
from registry_runtime.log import fields
from registry_runtime.metrics import Metrics
from registry_runtime.repository.collection.collection import Collection
from registry_runtime.repository.collection.receipt import Receipt
from registry_runtime.state import StateBoard

_log = logging.getLogger(__name__)
_TRIES = 10  # of a replica, for each time that a collection is due


class Collecting:
    """Collects when it is due and no other replica did; counts, logs and shows what was done."""

    def __init__(self, settings: Settings, board: StateBoard, metrics: Metrics) -> None:
        self._every = settings.every_seconds
        self._board = board
        self._metrics = metrics

    async def run(self, collection: Collection, doubt: Callable[[], None]) -> None:
        """It never ends; `doubt` is told when the storage fails."""
        while True:
            await asyncio.sleep(self._every / _TRIES * random.uniform(0.5, 1.5))
            try:
                receipt = await collection.run(idle=timedelta(seconds=self._every))
            except StorageError as error:
                doubt()
                _log.warning("no collection began", extra=fields(error=error.message))
            else:
                if receipt is not None:
                    self._tell(receipt)

    def _tell(self, receipt: Receipt) -> None:
        self._count(receipt)
        self._board.update(collection=state_of(receipt))
        log = _log.info if receipt.done and not receipt.problems and not receipt.lost else _log.warning
        log("the storage was collected", extra=fields(**receipt.fields()))

    def _count(self, receipt: Receipt) -> None:
        metrics = self._metrics
        metrics.collections.add(1, "done" if receipt.done else "failed")
        for kind, count in receipt.hidden.items():
            metrics.hidden.add(count, kind)
        for kind, count in receipt.taken.items():
            metrics.taken.add(count, kind)
        metrics.freed.add(receipt.freed)
        metrics.collected.set(receipt.began.timestamp())
        metrics.collection_seconds.set(receipt.seconds)
        metrics.collection_problems.set(len(receipt.problems))
        if receipt.audit:
            metrics.lost_blobs.set(len(receipt.lost))


def state_of(receipt: Receipt) -> CollectionState:
    """The receipt as the replica's state shows it."""
    problems = list(receipt.problems)
    if receipt.lost:
        problems.append(f"{len(receipt.lost)} blobs have lost their data; push them again")
    return CollectionState(
        began=receipt.began,
        seconds=receipt.seconds,
        hidden=receipt.hidden.total(),
        taken=receipt.taken.total(),
        freed=receipt.freed,
        problem="; ".join(problems) or None,
    )
