"""From what replicas remember to statuses and Events."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from registry_operator import activity as module
from registry_operator.activity import AGAIN, EVENTS, STATUSES, Activities
from registry_operator.cache import Cache
from registry_operator.checks.access_token import judge
from registry_operator.events import Note, Recorder
from registry_operator.models import AccessToken, Key, Namespace
from registry_operator.observed import TokenActivity, TokenObserved
from registry_operator.queue import Queue

from registry_runtime.contract.activity import Activity, Refusal
from registry_runtime.contract.credential import token_id
from tests.unit.operator import harbour
from tests.unit.operator.harbour import NOW, SETTINGS, token

HARBOUR = Key("harbour", "harbour")
SECOND = int(NOW.timestamp())
BOUND = {
    "conditions": [
        {"type": "Bound", "status": "True", "reason": "Bound", "lastTransitionTime": NOW.isoformat()}
    ]
}


@dataclass
class World:
    """The operator's part: replicas speak, rounds pass, statuses are written as the reconcile writes them."""

    cache: Cache = field(default_factory=Cache)
    now: datetime = NOW
    clock: float = 1000.0
    said: list[tuple[AccessToken | Namespace, Note]] = field(default_factory=list)
    written: list[Key] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Another operator, which knows what the API server knows."""
        self.cache.activity.clear()
        self.queue = Queue(1)
        self.activities = Activities(self.cache, self.queue, cast("Recorder", self), lambda: self.now)

    def record(self, about: AccessToken | Namespace, notes: list[Note]) -> None:
        self.said += [(about, note) for note in notes]

    def add(self, *objects: AccessToken | Namespace) -> None:
        for obj in objects:
            if isinstance(obj, AccessToken):
                self.cache.see_token(obj.key, obj)
            else:
                self.cache.see_claim(obj.key, obj)

    def hear(self, pod: str = "pod-a", registry: Key = HARBOUR, epoch: str = "e", **told: Any) -> None:
        self.activities.hear(registry, pod, Activity(epoch=epoch, cursor="", **told))

    def round(self, seconds: float = 1.0) -> None:
        """Time passes, a round is made, and what is due is reconciled."""
        self.clock += seconds
        self.now += timedelta(seconds=seconds)
        self.activities.tell(self.clock)
        while (work := self.queue.poll()) is not None:
            self.queue.done(work)
            self.reconcile(Key(work.namespace, work.name))

    def reconcile(self, key: Key) -> None:
        """Judges and writes where it differs, as `reconcile.access_token` and `reconcile.status` do."""
        of = self.cache.tokens.objects[key]
        heard = self.cache.activity.get(of.meta.uid, TokenActivity())
        status = judge(TokenObserved(of, self.now, activity=heard), SETTINGS)
        if status.document() != of.status.document():
            self.written.append(key)
            version = str(int(of.meta.resource_version) + 1)
            self.add(replace(of, meta=replace(of.meta, resource_version=version), status=status))

    def status(self, key: Key) -> tuple[datetime | None, int | None]:
        found = self.cache.tokens.objects[key].status
        return found.last_used_at, found.uses_left


def id_of(of: AccessToken) -> str:
    return token_id(of.meta.uid)


def refusal(of: AccessToken | None, count: int = 1, **changes: Any) -> Refusal:
    made = {
        "token": of and id_of(of),
        "namespace": "pier-one",
        "repository": "pier-one/app",
        "action": "push",
        "reason": "NotGranted",
        "endpoint": "public",
        "count": count,
        "last": SECOND,
    }
    return Refusal.model_validate(made | changes)


def test_a_use_stands_in_the_status() -> None:
    """The latest over all replicas, and the fewest uses left."""
    world, robot = World(), token(uses=3)
    world.add(robot)
    world.hear("pod-a", used={id_of(robot): SECOND - 60}, spent={id_of(robot): 1})
    world.hear("pod-b", used={id_of(robot): SECOND - 5}, spent={id_of(robot): 2})
    world.hear("pod-c", used={id_of(robot): SECOND - 90})
    world.round()
    assert world.status(robot.key) == (NOW - timedelta(seconds=5), 1)


def test_a_status_is_written_at_most_once_a_minute() -> None:
    """However often replicas tell of uses; what came meanwhile is written then."""
    world, robot = World(), token()
    world.add(robot)
    world.reconcile(robot.key)
    world.written.clear()
    for _ in range(300):
        world.hear(used={id_of(robot): int(world.now.timestamp())})
        world.round()
        world.reconcile(robot.key)  # for whatever other reason
    assert 4 <= len(world.written) <= 6
    world.round(AGAIN)
    world.written.clear()
    for _ in range(10):
        world.round(AGAIN)
    assert not world.written


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-500, 500), st.integers(0, 5)), max_size=30))
def test_neither_number_ever_goes_back(told: list[tuple[int, int, int]]) -> None:
    """Whatever replicas say, in whatever order, and though the operator is started anew in between."""
    world, robot = World(), token(uses=5)
    world.add(robot)
    world.reconcile(robot.key)
    for pod, second, spent in told:
        before, left_before = world.status(robot.key)
        world.hear(f"pod-{pod}", used={id_of(robot): SECOND + second}, spent={id_of(robot): spent})
        world.round(AGAIN)
        if second % 3 == 0:
            world.restart()
        last, left = world.status(robot.key)
        assert last is not None
        assert left is not None
        assert left_before is not None
        assert before is None or before <= last
        assert last <= world.now
        assert left <= left_before


def test_a_new_limit_counts_from_what_was_spent() -> None:
    """More uses are more uses left; and what the status said of another limit is not taken for this one's."""
    world, robot = World(), token(uses=1)
    world.add(robot)
    world.reconcile(robot.key)
    assert world.status(robot.key) == (None, 1)
    world.hear(spent={id_of(robot): 1})
    world.round()
    spent = world.cache.tokens.objects[robot.key]
    assert world.status(robot.key) == (None, 0)
    raised = token(meta={"generation": 2, "resourceVersion": "50"}, uses=3)
    world.add(replace(raised, status=spent.status))
    world.reconcile(robot.key)
    assert world.status(robot.key) == (None, 2)

    world.add(replace(raised, meta=replace(raised.meta, resource_version="60"), status=spent.status))
    world.restart()
    world.reconcile(robot.key)
    assert world.status(robot.key) == (None, None)
    world.hear(spent={id_of(robot): 1})
    world.round()
    assert world.status(robot.key) == (None, 2)


def test_writes_are_few_and_the_one_that_is_furthest_behind_is_first() -> None:
    """A used-up token before all, then who was told longest ago; in the end everybody's turn has come."""
    world = World()
    robots = [token(f"robot-{number}", uses=2) for number in range(100)]
    world.add(*robots)
    for robot in robots:
        world.reconcile(robot.key)
    for number, robot in enumerate(robots):
        world.hear(used={id_of(robot): SECOND - 1000 + number})
    while any(world.status(robot.key)[0] is None for robot in robots):
        before = len(world.written)
        world.round()
        assert 0 < len(world.written) - before <= STATUSES
    world.round(AGAIN)
    world.written.clear()
    for robot in robots:
        world.hear(used={id_of(robot): SECOND})
    world.hear(spent={id_of(robots[99]): 2})
    world.round()
    assert {key.name for key in world.written} == {f"robot-{number}" for number in (99, *range(STATUSES - 1))}


def test_a_replica_speaks_for_its_own_registry_only() -> None:
    """A token, or a Namespace, of another Registry is none of its business; nor is what does not exist."""
    world, robot = World(), token()
    world.add(robot, harbour.claim(status=BOUND))
    other = Key("pirates", "cove")
    world.hear(registry=other, used={id_of(robot): SECOND}, refusals=(refusal(robot), refusal(None)))
    world.hear(used={"f" * 16: SECOND}, refusals=(refusal(None, token="f" * 16, namespace="pier-two"),))
    world.round()
    assert not world.written
    assert not world.said


def test_a_token_that_was_made_again_inherits_nothing() -> None:
    """Its predecessor's last use is not its own."""
    world, robot = World(), token()
    world.add(robot)
    world.hear(used={id_of(robot): SECOND})
    world.round()
    world.hear(used={id_of(robot): SECOND + 1})
    again = token(meta={"uid": "uid-of-another", "resourceVersion": "99"})
    world.cache.see_token(robot.key, None)
    world.add(again)
    world.round()
    assert world.status(again.key)[0] is None
    assert not world.cache.activity
    assert world.cache.tokens.by_id(id_of(robot)) is None
    assert world.cache.tokens.by_id(id_of(again)) == again


def told(world: World) -> list[tuple[str, str, str, int]]:
    found = [(about.KIND, about.meta.name, note.reason, note.count) for about, note in world.said]
    world.said.clear()
    return sorted(found)


def test_a_refusal_becomes_an_event_on_both_sides() -> None:
    """On the token and on the Namespace, which reads another account's token as its id only."""
    world, robot, pirate = World(), token(), token("hook", "pirates")
    world.add(robot, pirate, harbour.claim(status=BOUND))
    world.hear(epoch="before")
    world.hear(refusals=(refusal(robot, 3),))
    world.round()
    assert told(world) == [
        ("AccessToken", "deployer", "PushDenied", 3),
        ("Namespace", "pier-one", "PushDenied", 3),
    ]
    world.hear(refusals=(refusal(None, action="pull", reason="CredentialsMissing"),))
    world.round()
    assert told(world) == [("Namespace", "pier-one", "PullDenied", 1)]
    world.hear(refusals=(refusal(pirate, action="delete", reason="OtherAccount"),))
    world.round()
    assert "hook" not in " ".join(note.note for about, note in world.said if about.KIND == "Namespace")
    assert told(world) == [
        ("AccessToken", "hook", "DeleteDenied", 1),
        ("Namespace", "pier-one", "DeleteDenied", 1),
    ]


def test_events_come_once_a_minute_with_the_number_of_refusals() -> None:
    """Each text in its turn; what came meanwhile is in the next one's count."""
    world, robot = World(), token()
    world.add(robot)
    world.hear(epoch="before")
    for count in range(1, 31):
        world.hear(refusals=(refusal(robot, count),))
        world.round()
    assert told(world) == [("AccessToken", "deployer", "PushDenied", 1)]
    world.round(AGAIN)
    assert told(world) == [("AccessToken", "deployer", "PushDenied", 29)]
    world.round(AGAIN)
    assert told(world) == []


def test_what_a_replica_said_before_is_not_said_again() -> None:
    """Neither twice by one operator, nor by the next one; a replica that began anew counts from nothing."""
    world, robot = World(), token()
    world.add(robot)
    world.hear(epoch="before")
    world.hear(refusals=(refusal(robot, 5),))
    world.hear(refusals=(refusal(robot, 5),))
    world.round()
    assert told(world) == [("AccessToken", "deployer", "PushDenied", 5)]
    world.hear(epoch="next", refusals=(refusal(robot, 7),))
    world.round(AGAIN)
    assert told(world) == [("AccessToken", "deployer", "PushDenied", 7)]
    world.hear(epoch="next", refusals=(refusal(robot, 2),))  # the replica had forgotten it meanwhile
    world.round(AGAIN)
    assert told(world) == [("AccessToken", "deployer", "PushDenied", 2)]
    world.restart()
    old = refusal(robot, 70, last=int(world.now.timestamp()) - module.FRESH - 10)
    fresh = refusal(robot, 70, last=int(world.now.timestamp()), action="pull")
    world.hear(refusals=(old, fresh))
    world.round()
    assert told(world) == [("AccessToken", "deployer", "PullDenied", 1)]


def test_a_storm_of_refusals_is_a_few_events() -> None:
    """A round has few, whoever was refused, and what waits is bounded."""
    world = World()
    robots = [token(f"robot-{number}") for number in range(1500)]
    world.add(*robots)
    world.hear(epoch="before")
    for robot in robots:
        world.hear(refusals=tuple(refusal(robot, repository=f"pier-one/r{kind}") for kind in range(20)))
    for _ in range(10):
        world.round()
        assert len(world.said) == EVENTS
        world.said.clear()
    waiting = world.activities._refusals._waiting.values()
    assert len(waiting) <= module.OBJECTS
    assert max(len(one.texts) for one in waiting) <= module.KINDS
