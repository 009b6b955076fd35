"""Whatever happens, in whatever order: a key that may be removed is needed by nobody."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from registry_operator.checks import encryption
from registry_operator.desired.draft import Draft
from registry_operator.desired.policy import policy, settlement
from registry_operator.desired.rendered import Rendered
from registry_operator.models import Key, Release
from registry_operator.observed import Endpoint, RegistryObserved, SecretData

from registry_runtime.contract.policy import KEY, Policy
from registry_runtime.contract.state import EncryptionState, ReplicaState, Rewrapping
from tests.unit.operator.harbour import MADE, NOW, encrypted, observed, view

NAMES = ("k1", "k2", "k3")
KEYS = SecretData({name: name.encode() for name in NAMES})
SECRET = Key("harbour", "keys")
PODS = ("harbour-0", "harbour-1", "harbour-2")
SHARD = Key("harbour", "harbour-policy-0")
pods, names = st.sampled_from(PODS), st.sampled_from(NAMES)


@dataclass
class Replica:
    """A runtime as the contract has it: it follows the policy, says so, and makes passes when settled."""

    policy: Policy
    held: dict[str, str]  # ids by name
    active: str | None = None
    made: Rewrapping | None = None
    todo: list[int] = field(default_factory=list)  # records that its pass has still to look at

    def follow(self, policy: Policy) -> None:
        """The key before goes on until this one is held; one of another id is not this one."""
        self.policy, use = policy, policy.encryption
        if use and use.active in self.held:
            wrong = use.id and self.held[use.active] != use.id
            self.active = None if wrong else use.active

    @property
    def key(self) -> str | None:
        """The id of what it encrypts with."""
        return self.held[self.active] if self.active else None

    def state(self, pod: str) -> ReplicaState:
        return ReplicaState(
            version="",
            replica=pod,
            zone="",
            started=MADE,
            ready=True,
            policy_revision=self.policy.revision,
            encryption=EncryptionState(keys=dict(self.held), active=self.active, rewrapping=self.made),
        )


class Harbour(RuleBasedStateMachine):
    """Three replicas and their storage, an operator that sees them late, and a tenant who turns keys."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = Policy()
        self.made = 1  # Secrets of the policy, one after the other
        self.declared = "k1"
        self.records: list[str] = []  # by which key each is encrypted
        self.heard: dict[str, ReplicaState] = {}
        self.replicas = {pod: Replica(self.policy, {"k1": "k1"}) for pod in PODS}
        self.agree()

    @rule()
    def look(self) -> None:
        """A reconcile of the operator, who remembers nothing."""
        seen = self.seen()
        self.policy = policy(seen, settlement(seen))

    @rule(pod=pods)
    def follow(self, pod: str) -> None:
        self.replicas[pod].follow(self.policy)

    @rule()
    def agree(self) -> None:
        """For once everything comes through: the operator's word to all, and theirs to the operator."""
        self.look()
        for pod in PODS:
            self.follow(pod)
            self.tell(pod)

    @rule(pod=pods)
    def tell(self, pod: str) -> None:
        self.heard[pod] = self.replicas[pod].state(pod)

    @rule(pod=pods)
    def fall_silent(self, pod: str) -> None:
        self.heard.pop(pod, None)

    @rule(mounted=st.sets(pods, min_size=1), name=names, again=st.sampled_from(("", "", "", "again")))
    def mount(self, mounted: set[str], name: str, again: str = "") -> None:
        """The kubelet brings a key, now and then one that was written over."""
        for pod in mounted:
            self.replicas[pod].held[name] = name + again
            self.replicas[pod].follow(self.replicas[pod].policy)

    @rule(pod=pods)
    def restart(self, pod: str) -> None:
        self.replicas[pod] = Replica(self.policy, self.replicas[pod].held)
        self.follow(pod)
        self.heard.pop(pod, None)

    @rule(pod=pods)
    def write(self, pod: str) -> None:
        key = self.replicas[pod].key
        if key:
            self.records.append(key)

    @rule(pod=pods)
    def begin(self, pod: str) -> None:
        """A pass, which looks at the records of now."""
        one = self.replicas[pod]
        use = one.policy.encryption
        if use and use.settled and one.key:
            one.made = Rewrapping(key=one.key, turn=use.turn, began=NOW)
            one.todo = list(range(len(self.records)))

    @rule(pod=pods, steps=st.sampled_from((1, 2, 100)))
    def go_on(self, pod: str, steps: int) -> None:
        """A pass that is overtaken by another turn ends without having come through."""
        one = self.replicas[pod]
        use = one.policy.encryption
        if one.made is None or one.made.done or use is None or one.made.turn != use.turn:
            return
        if one.key != one.made.key:
            return
        for _ in range(min(steps, len(one.todo))):
            self.records[one.todo.pop()] = one.key
        one.made = one.made.model_copy(update={"done": not one.todo})

    @rule(pod=pods)
    def come_through(self, pod: str) -> None:
        """A pass from its beginning to its end, and the operator hears of it."""
        self.begin(pod)
        self.go_on(pod, len(self.records))
        self.tell(pod)

    @rule(name=names)
    def declare(self, name: str) -> None:
        self.declared = name

    @rule(name=names)
    def turn(self, name: str) -> None:
        """Another key, as it goes when nothing goes wrong."""
        self.mount(set(PODS), name)
        self.declare(name)
        for _ in range(3):  # held; taken up; settled
            self.agree()

    @rule()
    def lose_the_policy(self) -> None:
        """Somebody deletes its Secrets; the operator makes them anew before it looks again."""
        self.policy, self.made = Policy(), self.made + 1
        self.look()

    @invariant()
    def what_may_be_removed_is_needed_by_nobody(self) -> None:
        seen = self.seen()
        settled = settlement(seen)
        now = policy(seen, settled)
        found = encryption.status(
            seen, Rendered((), Draft(settled, now, now.revision, ()), Release("test", 1))
        )
        assert found
        needed = {*self.records, *(one.key for one in self.replicas.values())}
        for name in found.removable:
            assert found.active
            assert needed.isdisjoint({name, f"{name}again"})  # by whatever is, or was, under this name

    def seen(self) -> RegistryObserved:
        owners = ("uid-harbour-harbour",)
        shard = SecretData({KEY: self.policy.encode()}, uid=f"uid-{self.made}", owners=owners)
        endpoints = tuple(Endpoint(pod, "zone-a", ready=True) for pod in PODS)
        seen = observed(encrypted(self.declared), secrets=view({SECRET: KEYS, SHARD: shard}))
        return replace(seen, endpoints=endpoints, replicas=dict(self.heard))


TestRemovable = Harbour.TestCase
TestRemovable.settings = settings(max_examples=300, stateful_step_count=50)
