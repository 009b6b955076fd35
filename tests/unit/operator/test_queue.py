"""The work queue, by a clock that stands still until it is told."""

import asyncio

import pytest
from registry_operator.queue import FIRST_RETRY, LAST_RETRY, Backlog, Kind, Pace, Queue, Work


def registry(name: str) -> Work:
    return Work(Kind.REGISTRY, "team", name)


def token(name: str) -> Work:
    return Work(Kind.ACCESS_TOKEN, "team", name)


def policy(name: str) -> Work:
    return Work(Kind.POLICY, "team", name)


@pytest.fixture
def backlog() -> Backlog:
    return Backlog(slow=2, jitter=lambda: 1.0)


def test_a_key_is_taken_once_however_often_it_is_added(backlog: Backlog) -> None:
    """Ten events of one object are one reconcile."""
    for _ in range(10):
        backlog.add(registry("a"))
    assert backlog.pop(0) == registry("a")
    assert backlog.pop(0) is None


def test_a_key_never_runs_twice_at_a_time_and_no_change_is_lost(backlog: Backlog) -> None:
    """What comes while the key is running makes it run again, after it."""
    backlog.add(registry("a"))
    assert backlog.pop(0) == registry("a")
    backlog.add(registry("a"))
    assert backlog.pop(0) is None
    backlog.done(registry("a"))
    assert backlog.pop(0) == registry("a")
    backlog.done(registry("a"))
    assert backlog.pop(0) is None
    assert backlog.idle


def test_what_is_still_to_run_is_awaited(backlog: Backlog) -> None:
    """Due, later, or once more after the run of now; that run itself is not still to come."""
    assert not backlog.awaits(policy("a"))
    backlog.add_at(policy("a"), 5)
    assert backlog.awaits(policy("a"))
    assert backlog.pop(5) == policy("a")
    assert not backlog.awaits(policy("a"))
    backlog.add(policy("a"))
    assert backlog.awaits(policy("a"))
    backlog.failed(policy("a"), 5)
    assert backlog.awaits(policy("a"))


def test_policy_first_then_tokens_then_registries(backlog: Backlog) -> None:
    """Whoever loses access does not wait for a rollout."""
    for key in (registry("a"), token("t"), policy("a")):
        backlog.add(key)
    assert [backlog.pop(0) for _ in range(3)] == [policy("a"), token("t"), registry("a")]


def test_a_backlog_of_tokens_keeps_no_registry_waiting_for_ever(backlog: Backlog) -> None:
    """Ten thousand passwords that change wait for what the Registry hears of its replicas."""
    for number in range(100):
        backlog.add(token(str(number)))
    backlog.add(registry("a"))
    taken = [backlog.pop(0) for _ in range(8)]
    assert taken.count(registry("a")) == 1
    assert taken[:7] == [token(str(number)) for number in range(7)]


def test_what_changes_now_waits_for_nothing_that_was_only_listed(backlog: Backlog) -> None:
    """Each fourth run is of what is patient: however much changes, also the last of these comes."""
    for name in "abc":
        backlog.add(token(name))
    backlog.put_off()
    for number in range(12):
        backlog.add(token(str(number)))
    taken = [backlog.pop(0) for _ in range(8)]
    assert taken == [token(name) for name in ("0", "1", "2", "a", "3", "4", "5", "b")]
    assert backlog.depth == 7


def test_who_was_patient_is_so_until_it_changes(backlog: Backlog) -> None:
    """Also while it runs; what is urgent stays so, and each key is due once."""
    for name in "abc":
        backlog.add(token(name), patient=True)
    backlog.add(token("c"))
    backlog.add(token("c"), patient=True)
    assert backlog.depth == 3
    assert [backlog.pop(0), backlog.pop(0)] == [token("c"), token("a")]
    backlog.add(token("a"), patient=True)
    backlog.add(token("c"), patient=True)
    backlog.add(token("c"))
    backlog.add(token("c"), patient=True)
    backlog.done(token("a"))
    backlog.done(token("c"))
    assert [backlog.pop(0) for _ in range(4)] == [token("c"), token("b"), token("a"), None]


def test_slow_registries_leave_workers_for_the_rest(backlog: Backlog) -> None:
    """Two may run at a time; the third waits, a token does not."""
    for name in "abc":
        backlog.add(registry(name))
    assert [backlog.pop(0), backlog.pop(0)] == [registry("a"), registry("b")]
    assert backlog.pop(0) is None
    backlog.add(token("t"))
    assert backlog.pop(0) == token("t")
    backlog.done(registry("a"))
    assert backlog.pop(0) == registry("c")


def test_a_delayed_key_comes_at_its_time_and_the_earliest_counts(backlog: Backlog) -> None:
    """The expiry of a token in a minute is not put off by a sweep in an hour."""
    backlog.add_at(token("t"), 60)
    backlog.add_at(token("t"), 3600)
    assert backlog.next_at() == 60
    assert backlog.pop(59.9) is None
    assert backlog.pop(60) == token("t")
    backlog.done(token("t"))
    assert backlog.next_at() is None


def test_a_change_does_not_wait_for_the_delay(backlog: Backlog) -> None:
    """An event makes a waiting key due at once, and only once."""
    backlog.add_at(token("t"), 60)
    backlog.add(token("t"))
    assert backlog.pop(0) == token("t")
    backlog.done(token("t"))
    assert backlog.pop(61) is None


def test_failures_wait_twice_as_long_each_time_up_to_a_limit(backlog: Backlog) -> None:
    """A broken object costs less and less; a success starts anew."""
    waits = []
    now = 0.0
    backlog.add(registry("a"))
    for _ in range(12):
        assert backlog.pop(now) == registry("a")
        waits.append(backlog.failed(registry("a"), now))
        assert backlog.pop(now) is None
        now += waits[-1]
    assert waits[:4] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY, 8 * FIRST_RETRY]
    assert waits[-1] == LAST_RETRY
    assert backlog.pop(now) == registry("a")
    backlog.done(registry("a"))
    backlog.add(registry("a"))
    backlog.pop(now)
    assert backlog.failed(registry("a"), now) == FIRST_RETRY


def test_the_jitter_is_half_of_the_wait() -> None:
    """Registries that fail together do not come back together."""
    backlog = Backlog(slow=2, jitter=lambda: 0.0)
    backlog.add(registry("a"))
    backlog.pop(0)
    assert backlog.failed(registry("a"), 0) == FIRST_RETRY / 2


def test_times_that_count_no_longer_are_forgotten(backlog: Backlog) -> None:
    """A token that ends in 90 days is judged each five minutes until then: of 26,000 times one counts."""
    ends = {token(str(number)): 86400.0 * (1 + number) for number in range(10)}
    for turn in range(200):
        for key, end in ends.items():
            backlog.add(key)
            assert backlog.pop(turn) == key
            backlog.done(key)
            backlog.add_at(key, end + turn / 1000)
    assert len(backlog._times) < 100
    assert [backlog.pop(86400.0 * (2 + number)) for number in range(10)] == list(ends)


def test_what_came_too_soon_after_a_failure_has_failed_all_the_same(backlog: Backlog) -> None:
    """A burst of events makes nobody forget how long the next try is to wait."""
    backlog.add(registry("a"))
    assert backlog.pop(0) == registry("a")
    first = backlog.failed(registry("a"), 0)
    backlog.add(registry("a"))
    assert backlog.pop(0.1) == registry("a")
    backlog.put_back(registry("a"), 0.2)
    assert backlog.failing
    assert backlog.pop(0.1) is None
    assert backlog.pop(0.2) == registry("a")
    assert backlog.failed(registry("a"), 0.2) == 2 * first


async def test_a_worker_waits_for_the_next_key() -> None:
    """`take` sleeps until something is added, or until something delayed is due."""
    queue = Queue(slow=1)
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.add(token("now"))
    assert await asyncio.wait_for(waiting, 1) == token("now")
    queue.done(token("now"))
    queue.add_after(token("soon"), 0.02)
    assert await asyncio.wait_for(queue.take(), 1) == token("soon")


async def test_what_somebody_waits_for_has_no_patience() -> None:
    """Whoever adds it need not know that a status is still missing."""
    waiting = {token("new")}
    queue = Queue(slow=1, awaited=lambda work: work in waiting)
    for name in ("a", "new", "b"):
        queue.add(token(name), patient=True)
    assert [(await queue.take()).name for _ in range(3)] == ["new", "a", "b"]


async def test_workers_share_the_keys_and_none_runs_twice_at_a_time() -> None:
    """Eight workers, twenty keys that change again and again: each alone, no last change unseen."""
    queue = Queue(slow=4)
    keys = [registry(str(number)) for number in range(20)]
    version = dict.fromkeys(keys, 0)
    seen = dict.fromkeys(keys, -1)
    running: set[Work] = set()

    async def work() -> None:
        while True:
            key = await queue.take()
            assert key not in running
            running.add(key)
            observed = version[key]
            await asyncio.sleep(0.001)
            seen[key] = observed
            running.discard(key)
            queue.done(key)
            if queue.idle:
                idle.set()

    idle = asyncio.Event()
    workers = [asyncio.create_task(work()) for _ in range(8)]
    for round_ in range(10):
        idle.clear()
        for key in keys:
            version[key] = round_
            queue.add(key)
        await asyncio.sleep(0.003)
    await asyncio.wait_for(idle.wait(), 5)
    for worker in workers:
        worker.cancel()
    assert seen == version


async def test_a_cancelled_worker_ends_also_when_work_comes_at_that_moment() -> None:
    """At a stop all workers are cancelled while others still add work: none may go on."""
    queue = Queue(slow=1)
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.add(token("late"))
    waiting.cancel()
    await asyncio.wait([waiting], timeout=1)
    assert waiting.cancelled()


def test_a_single_change_waits_for_nothing_and_a_burst_is_a_few_runs() -> None:
    """Another object is none of its business."""
    pace = Pace()
    assert pace.rest(token("a"), 10.0) == 0
    assert pace.rest(token("a"), 10.04) == pytest.approx(0.06)
    assert pace.rest(token("b"), 10.04) == 0
    assert pace.rest(token("a"), 10.1) == 0


@pytest.mark.parametrize(
    ("took", "rests"), [(0.01, 0.04), (0.1, 0.02), (0.25, 0.125), (0.5, 0.5), (5.0, 0.5)]
)
def test_what_takes_long_rests_long_but_not_for_long(took: float, rests: float) -> None:
    """While ten thousand tokens change, their policy is not written all the time; a token's own work is."""
    pace = Pace()
    for work in (policy("a"), token("a")):
        assert pace.rest(work, 10.0) == 0
        pace.ended(work, 10.0, 10.0 + took)
    assert pace.rest(policy("a"), 10.0 + took) == pytest.approx(rests)
    assert pace.rest(token("a"), 10.0 + max(took, 0.1)) == 0


async def test_a_queue_tells_how_long_work_was_due() -> None:
    """From when it was added to when it begins; what failed is counted until it succeeds."""
    now, waited = 10.0, list[tuple[float, str]]()
    queue = Queue(1, lambda: now, lambda seconds, kind: waited.append((seconds, kind)))
    queue.add(Work(Kind.POLICY, "a", "b"))
    now = 12.0
    queue.add(Work(Kind.POLICY, "a", "b"))
    assert queue.oldest == 2
    work = await queue.take()
    assert waited == [(2.0, "Policy")]
    assert queue.oldest == 0
    queue.failed(work)
    assert queue.failing == {Kind.POLICY: 1}
    now = 1000.0
    queue.done(await queue.take())
    assert queue.failing == {}
    assert len(waited) == 1, "a retry waits on purpose"
