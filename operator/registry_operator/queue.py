"""The work queue: each key once, one key at a time, urgent keys first, none never, failures later and later.

What is patient, such as all that there is after a start, is kept waiting by what changed and by what follows
from that: each so many-th run alone is of the patient.

`Backlog` decides what is due, without tasks or clocks of its own; `Queue` lets workers wait for it.
"""

import asyncio
import heapq
import random
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

FIRST_RETRY = 0.25  # seconds
LAST_RETRY = 120.0


class Kind(StrEnum):
    """What there is to reconcile. POLICY is the policy of a Registry, which never waits for its rollout."""

    POLICY = "Policy"
    ACCESS_TOKEN = "AccessToken"  # noqa: S105 - a kind
    NAMESPACE = "Namespace"
    REGISTRY = "Registry"


OWN = (Kind.REGISTRY, Kind.NAMESPACE, Kind.ACCESS_TOKEN)  # with a resource of their own


class Lane(IntEnum):
    """Keys of a lower lane are taken first, mostly; a bounded number of workers serves SLOW."""

    POLICY = 0
    ACCESS = 1
    SLOW = 2


LANES = {
    Kind.POLICY: Lane.POLICY,
    Kind.ACCESS_TOKEN: Lane.ACCESS,
    Kind.NAMESPACE: Lane.ACCESS,
    Kind.REGISTRY: Lane.SLOW,
}


@dataclass(frozen=True, order=True, slots=True)
class Work:
    """One object to reconcile."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


PACES = {Kind.POLICY: 0.05, Kind.ACCESS_TOKEN: 0.1, Kind.NAMESPACE: 0.1, Kind.REGISTRY: 0.25}
# Of these a run that takes twice as long rests four times as long.
LONG = frozenset({Kind.POLICY, Kind.REGISTRY})
AS_LONG = 0.5  # seconds: what takes so long rests as long
LONGEST_REST = 0.5  # seconds
FAIR = 4  # each so many-th run is of a later lane, of these in turn: the first ones may never be empty
PATIENCE = 4  # each so many-th run of a lane is of what is patient
SPARE = 64  # times that count no longer, besides as many as count
FORGOTTEN = 4096  # entries after which old ones are dropped


class Pace:
    """How often one object may be reconciled: a single change waits for nothing, a burst is a few runs.

    What takes long rests long: while ten thousand tokens change, their policy is not written all the time.
    """

    def __init__(self) -> None:
        self._next: dict[Work, float] = {}

    def rest(self, work: Work, now: float) -> float:
        """Seconds until it may run again; 0, and it counts as begun now, where it may."""
        rest = self._next.get(work, float("-inf")) - now
        if rest > 0:
            return rest
        if len(self._next) >= FORGOTTEN:
            self._next = {one: at for one, at in self._next.items() if at > now}
        self._next[work] = now + PACES[work.kind]
        return 0.0

    def ended(self, work: Work, began: float, now: float) -> None:
        """The run that began then is over."""
        if work.kind in LONG:
            rest = min(LONGEST_REST, (now - began) ** 2 / AS_LONG)
            self._next[work] = max(self._next.get(work, 0.0), now + rest)


class _Due:
    """What is due in one lane, each key once, in the order in which it came."""

    def __init__(self) -> None:
        self._urgent: OrderedDict[Work, None] = OrderedDict()
        self._patient: OrderedDict[Work, None] = OrderedDict()
        self._runs = 0

    def __len__(self) -> int:
        return len(self._urgent) + len(self._patient)

    def __contains__(self, key: Work) -> bool:
        return key in self._urgent or key in self._patient

    def add(self, key: Work, *, patient: bool) -> None:
        if not patient:
            self._patient.pop(key, None)
            self._urgent[key] = None
        elif key not in self._urgent:
            self._patient[key] = None

    def pop(self) -> Work:
        self._runs += 1
        first, second = self._urgent, self._patient
        if not first or (second and self._runs % PATIENCE == 0):
            first = second
        return first.popitem(last=False)[0]

    def put_off(self) -> None:
        self._patient.update(self._urgent)
        self._urgent.clear()


class Backlog:
    """Keys that are due, running or waiting for their time. `now` is in seconds of any monotonic clock."""

    def __init__(self, slow: int, jitter: Callable[[], float] = random.random) -> None:
        self._slow = slow  # how many keys of the slow lane may run at a time
        self._jitter = jitter  # 0 ≤ x < 1
        self._due = {lane: _Due() for lane in Lane}
        self._later: dict[Work, float] = {}
        self._times: list[tuple[float, Work]] = []
        self._running: dict[Work, bool | None] = {}  # whether it came again meanwhile, patient (True) or not
        self._failures: dict[Work, int] = {}
        self._runs = 0

    def add(self, key: Work, *, patient: bool = False) -> None:
        """The key is due now; at most once, and again after it if it is running."""
        self._later.pop(key, None)
        if key in self._running:
            self._running[key] = patient and self._running[key] is not False
        else:
            self._due[LANES[key.kind]].add(key, patient=patient)

    def put_off(self) -> None:
        """All that is due has patience."""
        for due in self._due.values():
            due.put_off()

    def add_at(self, key: Work, when: float) -> None:
        """The key is due at `when` at the latest; an earlier time that is already set stays."""
        if key in self._due[LANES[key.kind]] or self._later.get(key, float("inf")) <= when:
            return
        self._later[key] = when
        heapq.heappush(self._times, (when, key))
        if len(self._times) > 2 * len(self._later) + SPARE:  # those of before stay in it until their time
            self._times = [(at, waiting) for waiting, at in self._later.items()]
            heapq.heapify(self._times)

    def pop(self, now: float) -> Work | None:
        """The next key to run, or None when nothing that may run is due."""
        self._wake(now)
        for lane in self._order():
            due = self._due[lane]
            if not due or (lane is Lane.SLOW and self._running_slow() >= self._slow):
                continue
            key = due.pop()
            self._running[key] = None
            return key
        return None

    def done(self, key: Work) -> None:
        """The run succeeded."""
        self._failures.pop(key, None)
        self._ended(key)

    def put_back(self, key: Work, when: float) -> None:
        """It did not run, and does at `when`."""
        self._ended(key)
        self.add_at(key, when)

    def failed(self, key: Work, now: float) -> float:
        """The run failed: the key comes back after twice the wait of the last time. Returns the seconds."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        longest = min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(failures - 1, 16))
        wait = longest * (0.5 + self._jitter() / 2)
        self._ended(key)
        self.add_at(key, now + wait)
        return wait

    def awaits(self, key: Work) -> bool:
        """Whether it is to run, other than the run that may be on its way."""
        due = self._due[LANES[key.kind]]
        return key in due or key in self._later or self._running.get(key) is not None

    def next_at(self) -> float | None:
        """When the next waiting key is due."""
        while self._times and self._later.get(self._times[0][1]) != self._times[0][0]:
            heapq.heappop(self._times)
        return self._times[0][0] if self._times else None

    @property
    def depth(self) -> int:
        """How many keys are due and not running."""
        return sum(map(len, self._due.values()))

    @property
    def failing(self) -> Mapping[Kind, int]:
        """How many keys failed when they last ran, by kind."""
        return Counter(key.kind for key in self._failures)

    @property
    def idle(self) -> bool:
        """Nothing is due and nothing runs."""
        return not self.depth and not self._running

    def _order(self) -> Iterable[Lane]:
        self._runs += 1
        turn, among = divmod(self._runs, FAIR)
        if among:
            return Lane
        return (Lane.ACCESS, Lane.POLICY, Lane.SLOW) if turn % 2 else reversed(Lane)

    def _wake(self, now: float) -> None:
        while (when := self.next_at()) is not None and when <= now:
            self.add(heapq.heappop(self._times)[1])

    def _ended(self, key: Work) -> None:
        if (patient := self._running.pop(key)) is not None:
            self.add(key, patient=patient)

    def _running_slow(self) -> int:
        return sum(LANES[key.kind] is Lane.SLOW for key in self._running)


class Queue:
    """The backlog with workers that wait for it. All methods belong to one event loop."""

    def __init__(
        self,
        slow: int,
        clock: Callable[[], float] = time.monotonic,
        waited: Callable[[float, str], None] = lambda seconds, kind: None,  # noqa: ARG005
        awaited: Callable[[Work], bool] = lambda work: False,  # noqa: ARG005
    ) -> None:
        """`waited` is told how long work was due, and of which kind, when it begins.

        `awaited` says whether somebody waits for it: such work is never patient.
        """
        self._backlog = Backlog(slow)
        self._awaited = awaited
        self._waited = waited
        self._since: dict[Work, float] = {}  # when it was added, the oldest first
        self._clock = clock
        self._wakers: set[asyncio.Future[None]] = set()

    @property
    def depth(self) -> int:
        return self._backlog.depth

    @property
    def oldest(self) -> float:
        """Seconds since when the oldest work is due; 0 where none is."""
        return self._clock() - next(iter(self._since.values())) if self._since else 0.0

    @property
    def failing(self) -> Mapping[Kind, int]:
        """How much failed and is tried again, by kind."""
        return self._backlog.failing

    @property
    def idle(self) -> bool:
        return self._backlog.idle

    def awaits(self, key: Work) -> bool:
        """Whether it is to run, other than the run that may be on its way."""
        return self._backlog.awaits(key)

    def add(self, key: Work, *, patient: bool = False) -> None:
        self._since.setdefault(key, self._clock())
        self._backlog.add(key, patient=patient and not self._awaited(key))
        self._wake()

    def put_off(self) -> None:
        """What is due waits for what comes, mostly: nobody asked for it just now."""
        self._backlog.put_off()

    def add_after(self, key: Work, seconds: float) -> None:
        """The key is due in so many seconds at the latest."""
        if seconds <= 0:
            self.add(key)
            return
        self._backlog.add_at(key, self._clock() + seconds)
        self._wake()

    async def take(self) -> Work:
        """The next key, which is then this worker's until it says `done` or `failed`."""
        while True:
            now = self._clock()
            key = self._backlog.pop(now)
            if key is not None:
                if (since := self._since.pop(key, None)) is not None:
                    self._waited(now - since, key.kind)
                return key
            next_at = self._backlog.next_at()
            await self._wait(None if next_at is None else max(0.0, next_at - now))

    def poll(self) -> Work | None:
        """As `take`, but None where nothing is due: for who does all that there is and then ends."""
        return self._backlog.pop(self._clock())

    def done(self, key: Work) -> None:
        self._backlog.done(key)
        self._wake()

    def put_back(self, key: Work, seconds: float) -> None:
        """It did not run, and does in so many seconds."""
        self._backlog.put_back(key, self._clock() + seconds)
        self._wake()

    def failed(self, key: Work) -> float:
        """Returns the seconds until the next try."""
        wait = self._backlog.failed(key, self._clock())
        self._wake()
        return wait

    async def _wait(self, seconds: float | None) -> None:
        waker = asyncio.get_running_loop().create_future()
        self._wakers.add(waker)
        try:
            await asyncio.wait([waker], timeout=seconds)  # wait_for may lose a cancellation (CPython < 3.12)
        finally:
            self._wakers.discard(waker)

    def _wake(self) -> None:
        for waker in self._wakers:
            if not waker.done():
                waker.set_result(None)
