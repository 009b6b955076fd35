"""From the queue to the reconciles, and back with the result."""

import asyncio
import logging
import time
from dataclasses import dataclass

from registry_operator.errors import OperatorError, WriteConflict
from registry_operator.metrics import Metrics
from registry_operator.models import AccessToken, Key, Namespace, Registry
from registry_operator.queue import Kind, Pace, Work
from registry_operator.reconcile import access_token, namespace, registry, status
from registry_operator.reconcile.access import Access
from registry_operator.reconcile.context import Context

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Worker:
    """Takes work until it is cancelled; several run at a time."""

    at: Context
    access: Access
    metrics: Metrics
    pace: Pace

    async def run(self) -> None:
        while True:
            # Work that waits for nothing must not keep all else from its turn, such as the Lease.
            await asyncio.sleep(0)
            work = await self.at.queue.take()
            began = time.monotonic()
            if rest := self.pace.rest(work, began):
                self.at.queue.put_back(work, rest)
                continue
            try:
                result = await self._reconcile(work)
            except asyncio.CancelledError:
                self.at.queue.done(work)
                raise
            ended = time.monotonic()
            self.pace.ended(work, began, ended)
            self.metrics.reconciles.add(1, work.kind, result)
            self.metrics.durations.observe(ended - began, work.kind)

    async def _reconcile(self, work: Work) -> str:
        """What fails comes back later. One faulty object, or a fault of ours, never stops the others."""
        try:
            await dispatch(self.at, self.access, work)
        except WriteConflict as error:
            log.debug("changed meanwhile", extra={"work": str(work), "error": error.message})
            self.at.queue.failed(work)
            return "conflict"
        except OperatorError as error:
            await self._say(work, error)
            wait = self.at.queue.failed(work)
            fields = {"work": str(work), "error": error.message, "retry_seconds": round(wait, 1)}
            log.warning("not reconciled", extra=fields)
            return "error"
        except Exception:
            wait = self.at.queue.failed(work)
            log.exception("fault", extra={"work": str(work), "retry_seconds": round(wait, 1)})
            return "fault"
        self.at.queue.done(work)
        return "done"

    async def _say(self, work: Work, error: OperatorError) -> None:
        """The condition of a failed reconcile; that it cannot be written changes nothing of the failure."""
        found = self._object(work)
        if found is None:
            return
        try:
            await status.fail(self.at, found, error)
        except OperatorError as second:
            log.info("status not written", extra={"work": str(work), "error": second.message})
        except Exception:
            log.exception("fault while a failure was told", extra={"work": str(work)})

    def _object(self, work: Work) -> Registry | Namespace | AccessToken | None:
        return self.at.cache.table(work.kind).objects.get(Key(work.namespace, work.name))


async def dispatch(at: Context, access: Access, work: Work) -> None:
    """The reconcile of this kind. Raises OperatorError."""
    key = Key(work.namespace, work.name)
    match work.kind:
        case Kind.POLICY:
            await access.reconcile(key)
        case Kind.ACCESS_TOKEN:
            await access_token.reconcile(at, key)
        case Kind.NAMESPACE:
            await namespace.reconcile(at, key)
        case Kind.REGISTRY:
            await registry.reconcile(at, access, key)
    await status.unreadable(at, work)
