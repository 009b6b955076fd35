"""From what replicas remember to statuses and Events: merged, paced, and never more often than a minute.

A use becomes part of the AccessToken's status through the usual reconcile, which alone writes it: here it is
only decided whose turn it is. A refusal becomes an Event.
"""

import asyncio
import heapq
import logging
import time
from collections import OrderedDict, deque
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
ROUNDS = 10  # for which it is decided whose turn it is
EVENTS = 5
AGAIN = 60.0  # seconds between two for one AccessToken, or for one object and reason
FRESH = 120  # seconds: of a replica that is met for the first time, older refusals were told before
KINDS = 8  # of refusals of one object and reason that wait for their turn
OBJECTS = 1024  # that have some
REMEMBERED = 8192  # kinds of refusals of one replica
log = logging.getLogger(__name__)


class Uses:
    """Who used it last, and how often, over all replicas; whose status is to say so next. All by token id."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._last: dict[str, int] = {}  # seconds of Unix
        self._spent: dict[str, int] = {}
        self._news: set[str] = set()
        self._turns: deque[str] = deque()  # whose news are told next
        self._told: dict[str, float] = {}

    def hear(self, registry: Key, told: Activity, now: datetime) -> None:
        """A replica speaks for its own Registry only, and of no time that is still to come."""
        ids, known = self._cache.tokens.ids, self._cache.tokens.naming(registry)
        present = int(now.timestamp())
        for id_, second in told.used.items():
            if ids.get(id_) in known and self._last.get(id_, 0) < min(second, present):
                self._last[id_] = min(second, present)
                self._news.add(id_)
        for id_, spent in told.spent.items():
            if ids.get(id_) in known and self._spent.get(id_, -1) < spent:
                self._spent[id_] = spent
                self._news.add(id_)

    def due(self, now: float) -> list[tuple[Key, TokenActivity]]:
        """What statuses are to say from now on, of a few tokens; of each once a minute."""
        self._told = {id_: at for id_, at in self._told.items() if now - at < AGAIN}
        if not self._turns:
            self._turns.extend(self._furthest_behind())
        chosen: list[tuple[Key, TokenActivity]] = []
        while self._turns and len(chosen) < STATUSES:
            id_ = self._turns.popleft()
            token = self._cache.tokens.by_id(id_)
            if token is not None and id_ in self._news:
                self._news.discard(id_)
                self._told[id_] = now
                chosen.append((token.key, self._heard(id_)))
        return chosen

    def _furthest_behind(self) -> list[str]:
        """Whose uses were spent comes first, then whose status is the oldest."""
        waiting = []
        for id_ in self._news - self._told.keys():
            token = self._cache.tokens.by_id(id_)
            lag = _lag(token, self._heard(id_)) if token is not None else None
            if lag is None:
                self._news.discard(id_)
            else:
                waiting.append((*lag, id_))
        if len(self._last) > 2 * len(self._cache.tokens.ids):
            self._last = {id_: last for id_, last in self._last.items() if id_ in self._cache.tokens.ids}
            self._spent = {id_: spent for id_, spent in self._spent.items() if id_ in self._cache.tokens.ids}
        return [id_ for *_, id_ in heapq.nlargest(STATUSES * ROUNDS, waiting)]

    def _heard(self, id_: str) -> TokenActivity:
        second = self._last.get(id_)
        last = datetime.fromtimestamp(second, UTC) if second is not None else None
        return TokenActivity(last, self._spent.get(id_))


def _lag(token: AccessToken, heard: TokenActivity) -> tuple[bool, float] | None:
    """Whether the uses differ, and how many seconds the status is behind; None where it says all."""
    last, left = used(token, heard)
    before = token.status.last_used_at
    if (last, left) == (before, token.status.uses_left):
        return None
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
            found = self._cache.tokens.by_id(refusal.token) if refusal.token is not None else None
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
