"""From what replicas remember to statuses and Events: merged, paced, and never more often than a minute.

A use becomes part of the AccessToken's status through the usual reconcile, which alone writes it: here it is
only decided whose turn it is. A refusal becomes an Event.
"""

import asyncio
import heapq
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from registry_operator.cache import Cache
from registry_operator.checks import refusals
from registry_operator.checks.access_token import used
from registry_operator.events import Note, Recorder
from registry_operator.models import AccessToken, Key, Namespace
from registry_operator.observed import TokenActivity
from registry_operator.queue import Queue
from registry_runtime.contract.activity import Activity, Refusal

ROUND = 1.0  # seconds
STATUSES = 20  # written in a round, at most
EVENTS = 5
AGAIN = 60.0  # seconds between two for one AccessToken, or for one object and reason
FRESH = (
    120  # seconds: older refusals of a replica that is met for the first time were told by another operator
)
KINDS = 8  # of refusals of one object and reason that wait for their turn
OBJECTS = 1024  # that have some
REMEMBERED = 8192  # kinds of refusals of one replica
log = logging.getLogger(__name__)


class Uses:
    """Who used it last, and how often, over all replicas; whose status is to say so next."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._heard: dict[str, TokenActivity] = {}  # by UID, as the next ones
        self._news: dict[str, Key] = {}
        self._told: dict[str, float] = {}

    def hear(self, registry: Key, told: Activity, now: datetime) -> None:
        """A replica speaks for its own Registry only, and of no time that is still to come."""
        for id_ in told.used.keys() | told.spent.keys():
            token = self._cache.token_of(id_)
            if token is None or registry not in token.registries:
                continue
            second = told.used.get(id_)
            last = datetime.fromtimestamp(min(second, int(now.timestamp())), UTC) if second else None
            uid, before = token.meta.uid, self._heard.get(token.meta.uid, TokenActivity())
            self._heard[uid] = after = before.merged(TokenActivity(last, told.spent.get(id_)))
            if used(token, after) != (token.status.last_used_at, token.status.uses_left):
                self._news[uid] = token.key
        if len(self._heard) > 2 * len(self._cache.tokens.objects):
            there = {token.meta.uid for token in self._cache.tokens.objects.values()}
            self._heard = {uid: heard for uid, heard in self._heard.items() if uid in there}

    def due(self, now: float) -> list[tuple[Key, TokenActivity]]:
        """Whose status is most out of date: where uses were spent, then where it is furthest behind."""
        self._told = {uid: at for uid, at in self._told.items() if now - at < AGAIN}
        waiting = []
        for uid, key in list(self._news.items()):
            token = self._cache.tokens.objects.get(key)
            if token is None or token.meta.uid != uid:
                del self._news[uid]
            elif uid not in self._told:
                waiting.append((*_lag(token, self._heard[uid]), uid))
        chosen = []
        for *_, uid in heapq.nlargest(STATUSES, waiting):
            self._told[uid] = now
            chosen.append((self._news.pop(uid), self._heard[uid]))
        return chosen


def _lag(token: AccessToken, heard: TokenActivity) -> tuple[bool, float]:
    """Whether the uses differ, and how many seconds the status is behind."""
    last, left = used(token, heard)
    before = token.status.last_used_at
    seconds = (last - before).total_seconds() if last and before else float("inf")
    return left != token.status.uses_left, seconds


@dataclass
class _Waiting:
    """Texts for one object and reason, and how often each is true; `told` is when the last one went out."""

    about: AccessToken | Namespace
    told: float = float("-inf")
    texts: OrderedDict[str, int] = field(default_factory=OrderedDict)


class Refusals:
    """Counted over replicas and their lives; one text a minute for each object and reason."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._counted: dict[tuple[Key, str], tuple[str, OrderedDict[Refusal, int]]] = {}  # epoch, by kind
        self._waiting: OrderedDict[tuple[str, str], _Waiting] = OrderedDict()  # by UID and Event's reason

    def forget(self, registry: Key, pod: str) -> None:
        self._counted.pop((registry, pod), None)

    def hear(self, registry: Key, pod: str, told: Activity, now: datetime) -> None:
        new = self._new(registry, pod, told, now)
        if not new:
            return
        bound = {
            claim.spec.name: claim
            for claim in self._cache.claims.of(registry)
            if (condition := claim.status.condition("Bound")) and condition.status == "True"
        }
        for refusal, count in new:
            found = self._cache.token_of(refusal.token) if refusal.token is not None else None
            token = found if found is not None and registry in found.registries else None
            reason = refusals.EVENTS[refusal.action]
            if token is not None and (text := refusals.to_token(refusal)):
                self._add(token, reason, text, count)
            claim = bound.get(refusal.namespace)
            if claim is not None and (text := refusals.to_namespace(refusal, claim, token)):
                self._add(claim, reason, text, count)

    def due(self, now: float) -> list[tuple[AccessToken | Namespace, Note]]:
        """What may be said now, oldest first."""
        chosen: list[tuple[AccessToken | Namespace, Note]] = []
        for place, waiting in list(self._waiting.items()):
            if now - waiting.told < AGAIN or len(chosen) >= EVENTS:
                continue
            if not waiting.texts:
                del self._waiting[place]
                continue
            text, count = waiting.texts.popitem(last=False)
            waiting.told = now
            self._waiting.move_to_end(place)
            _, reason = place
            chosen.append((waiting.about, Note("Warning", reason, "Refuse", text, count)))
        return chosen

    def _new(self, registry: Key, pod: str, told: Activity, now: datetime) -> list[tuple[Refusal, int]]:
        """What was not counted yet, and how often it came."""
        epoch, counts = self._counted.get((registry, pod), ("", OrderedDict[Refusal, int]()))
        met = bool(epoch)
        if epoch != told.epoch:
            counts = OrderedDict()
        self._counted[registry, pod] = (told.epoch, counts)
        new = []
        for refusal in told.refusals:
            kind = refusal.model_copy(update={"count": 1, "last": 0})
            before = counts.pop(kind, 0)
            counts[kind] = refusal.count
            more = refusal.count - before if refusal.count >= before else refusal.count
            if not met:
                more = 1 if now.timestamp() - refusal.last <= FRESH else 0
            if more:
                new.append((kind, more))
        while len(counts) > REMEMBERED:
            counts.popitem(last=False)
        return new

    def _add(self, about: AccessToken | Namespace, reason: str, text: str, count: int) -> None:
        waiting = self._waiting.setdefault((about.meta.uid, reason), _Waiting(about))
        waiting.about = about
        waiting.texts[text] = waiting.texts.get(text, 0) + count
        if len(waiting.texts) > KINDS:
            waiting.texts.popitem(last=False)
        if len(self._waiting) > OBJECTS:
            self._waiting.popitem(last=False)


class Activities:
    """What replicas tell of what was done."""

    def __init__(
        self,
        cache: Cache,
        queue: Queue,
        recorder: Recorder,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._recorder = recorder
        self._now = now
        self._uses = Uses(cache)
        self._refusals = Refusals(cache)

    def hear(self, registry: Key, pod: str, told: Activity) -> None:
        """What changed at one replica of a Registry."""
        now = self._now()
        self._uses.hear(registry, told, now)
        self._refusals.hear(registry, pod, told, now)

    def forget(self, registry: Key, pod: str) -> None:
        """A replica is gone, or does not answer."""
        self._refusals.forget(registry, pod)

    async def run(self) -> None:
        """Returns only by cancellation."""
        while True:
            await asyncio.sleep(ROUND)
            self.tell(time.monotonic())

    def tell(self, now: float) -> None:
        """One round; `now` is in seconds of a monotonic clock."""
        for key, heard in self._uses.due(now):
            for work in self._cache.see_activity(key, heard):
                self._queue.add(work)
        for about, note in self._refusals.due(now):
            self._recorder.record(about, [note])
