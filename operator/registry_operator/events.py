"""Events of events.k8s.io/v1, one for each change of a condition; a repeated one is a growing series."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from registry_operator.cluster import Cluster, Version
from registry_operator.cluster.resources import EVENTS
from registry_operator.errors import ClusterError, NotFound, WriteConflict
from registry_operator.models import API_VERSION, AccessToken, Condition, Namespace, Registry

CONTROLLER = "roadstead.dev/operator"
PACE = 0.02  # seconds between two
NOTE = 1024  # characters, by the API server
BAD_WHEN_TRUE = frozenset({"Stalled", "Expiring"})
SILENT = frozenset(
    {
        "Reconciling",
        "Issued",
        "Distributed",
        "Available",
        "PolicyPropagated",
        "SelfCheckPassed",
        "UpToDate",
        "InUse",
    }
)  # Ready says it
# What was done, or failed, where a condition came true or holds no longer: a verb, as events.k8s.io wants it.
ACTIONS = {
    "Ready": "Reconcile",
    "Stalled": "Reconcile",
    "StorageReady": "CheckStorage",
    "TLSReady": "ServeCertificate",
    "EncryptionReady": "Encrypt",
    "AuthenticationReady": "ReviewTokens",
    "IssuersAnswer": "AskIssuers",
    "ZoneRedundant": "SpreadReplicas",
    "AutoscalingActive": "Scale",
    "Exposed": "Expose",
    "Bound": "Bind",
    "Expiring": "Expire",
    "Rotated": "Rotate",
    "Paused": "Pause",
}
OTHER = "Reconcile"
WAITING = 512  # Events that may wait; in a storm the rest is dropped, the conditions say it all
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Note:
    """What an Event says, of conditions and of refusals, which hold no secrets; `count` is how often."""

    type: str  # Normal or Warning
    reason: str
    action: str
    note: str
    count: int = 1


def notes(before: Iterable[Condition], after: Iterable[Condition]) -> list[Note]:
    """What became of the conditions: a note for each that came true, or holds no longer.

    What does not hold yet, or is not known, is no news; a new reason for what is bad is.
    """
    known = {condition.type: condition for condition in before}
    found = []
    for condition in after:
        old = known.get(condition.type)
        bad = condition.type in BAD_WHEN_TRUE
        if condition.type in SILENT or condition.status == "Unknown":
            continue
        if condition.status == "True":
            news = old is None or old.status != "True" or (bad and old.reason != condition.reason)
        else:
            news = old is not None and old.status == "True"
        if news:
            warning = (condition.status == "True") is bad
            text = f"{condition.type}={condition.status}: {condition.message}"
            kind = "Warning" if warning else "Normal"
            action = ACTIONS.get(condition.type, OTHER)
            found.append(Note(kind, condition.reason, action, text[:NOTE]))
    return found


class Recorder:
    """Writes Events, one after the other, behind everything else: nothing waits for one."""

    def __init__(self, cluster: Cluster, instance: str, dropped: Callable[[], None] = lambda: None) -> None:
        self._cluster = cluster
        self._dropped = dropped  # is told of each that is never written
        self._instance = instance
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(WAITING)

    def record(self, about: Registry | Namespace | AccessToken, said: Iterable[Note]) -> None:
        for note in said:
            if self._waiting.full():
                self._dropped()
            else:
                self._waiting.put_nowait(self._event(about, note))

    async def run(self) -> None:
        """Returns only by cancellation. An Event that cannot be written is logged and forgotten."""
        while True:
            event = await self._waiting.get()
            try:
                await self._write(event)
            except ClusterError as error:
                log.info("event not written", extra={"error": error.message})
                self._dropped()
            await asyncio.sleep(PACE)

    async def _write(self, event: dict[str, Any]) -> None:
        try:
            await self._cluster.create(event)
        except WriteConflict:
            await self._repeat(event)

    async def _repeat(self, event: dict[str, Any]) -> None:
        metadata = event["metadata"]
        try:
            there = await self._cluster.get(EVENTS, metadata["namespace"], metadata["name"])
        except NotFound:
            return
        count = _count(there) + _count(event)
        series = {"series": {"count": count, "lastObservedTime": event["eventTime"]}}
        where = metadata["namespace"], metadata["name"]
        await self._cluster.merge(EVENTS, *where, series, Version.of(there))

    def _event(self, about: Registry | Namespace | AccessToken, note: Note) -> dict[str, Any]:
        meta = about.meta
        same = f"{meta.uid}|{note.type}|{note.reason}|{note.action}|{note.note}"
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        series = {"series": {"count": note.count, "lastObservedTime": now}} if note.count > 1 else {}
        return series | {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {
                "namespace": meta.namespace,
                "name": f"{meta.name}.{hashlib.sha256(same.encode()).hexdigest()[:16]}",
            },
            "eventTime": now,
            "type": note.type,
            "reason": note.reason[:128],
            "action": note.action[:128],
            "note": note.note,
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance[:128],
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": about.KIND,
                "namespace": meta.namespace,
                "name": meta.name,
                "uid": meta.uid,
            },
        }


def _count(event: dict[str, Any]) -> int:
    return int((event.get("series") or {}).get("count", 1))
