"""A Registry's life: whatever happens, in whatever order, its status never says more than is so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from registry_operator.checks import failure
from registry_operator.checks.registry import judge
from registry_operator.desired.registry import render
from registry_operator.desired.rendered import fingerprint
from registry_operator.errors import (
    AdmissionDenied,
    InvalidResource,
    NameConflict,
    NamespaceTerminating,
    NotFound,
    NotPermitted,
    OperatorError,
    QuotaExceeded,
    Refused,
    RenderFailed,
    Unavailable,
    WriteConflict,
)
from registry_operator.models import Key, OwnStatus, RegistryStatus
from registry_operator.models.base import format_time
from registry_operator.observed import (
    Conflict,
    Endpoint,
    RegistryObserved,
    Rollout,
    SecretData,
    SecretView,
    Waiting,
)

from registry_runtime.contract.state import ReplicaState, SelfCheckReason, SelfCheckState, StorageReason
from tests.unit.operator.harbour import CREDENTIALS, SETTINGS, ZONES, observed, registry, running, state
from tests.unit.operator.told import Told

BASE, _ = running(observed())
SLOTS = st.integers(0, 3)
BUCKET = Key("harbour", "s3")
PASSING = (Unavailable, WriteConflict, NamespaceTerminating, NotFound)
MENDED = (NameConflict, QuotaExceeded, AdmissionDenied, Refused, RenderFailed)
ERRORS = st.sampled_from(
    [kind("it did not work") for kind in (*PASSING, *MENDED)]
    + [NotPermitted("no", "Secret shop/x", "shop"), NotPermitted("no", "ClusterRole x")]
    + [InvalidResource("Registry harbour/harbour", "spec: no")]
)
MINE = frozenset({StorageReason.READY, StorageReason.CHECKING})


@dataclass
class Pod:
    """A replica as it is, whatever the operator knows of it."""

    endpoint: Endpoint
    revision: str = ""
    storage: StorageReason = StorageReason.READY
    check: SelfCheckReason = SelfCheckReason.PASSED
    problem: str | None = None

    def says(self) -> ReplicaState:
        found = state(self.endpoint.pod, self.revision, self.storage)
        check = SelfCheckState(reason=self.check, message=f"it is {self.check}")
        return found.model_copy(update={"self_check": check, "policy_problem": self.problem})

    @property
    def name(self) -> str:
        return self.endpoint.pod

    @property
    def serves(self) -> bool:
        return self.endpoint.ready and not self.endpoint.terminating


class History(RuleBasedStateMachine):
    """`known` is what each replica said last (None: it did not answer), `asked` those since a restart."""

    def __init__(self) -> None:
        super().__init__()
        self.told = Told()
        self.now = BASE.now
        self.wanted, self.hostname = 3, "harbour.test"
        self.rollout: Rollout | None = None
        self.applied = 0  # the generation that the Deployment is of
        self.pods: dict[int, Pod] = {}  # a new one has a new name, as a Deployment's have
        self.made = 0
        self.known: dict[str, ReplicaState | None] = {}
        self.asked: set[str] = set()
        self.credentials: SecretData | None = CREDENTIALS
        self.refused = False
        self.conflict = False
        self.revision = ""

    # What the user does.

    @rule(wanted=st.integers(1, 3))
    def edit(self, wanted: int) -> None:
        """Another number of replicas, or nothing that matters to a pod: another generation in any case."""
        self.wanted = wanted
        self.told.generation += 1

    @rule(found=st.sampled_from([CREDENTIALS, CREDENTIALS, SecretData({"accessKeyID": b"id"}), None]))
    def change_the_secret(self, found: SecretData | None) -> None:
        self.credentials = found

    @rule(refused=st.sampled_from([False, False, True]))
    def consent(self, refused: bool) -> None:
        self.refused = refused

    @rule(conflict=st.sampled_from([False, False, True]))
    def take_a_name(self, conflict: bool) -> None:
        self.conflict = conflict

    @rule(chance=st.integers(0, 9))
    def delete(self, chance: int) -> None:
        self.told.deleted = self.told.deleted or chance == 0

    # What the cluster does.

    @rule(data=st.data())
    def roll_out(self, data: st.DataObject) -> None:
        """The Deployment's controller comes as far as it comes."""
        if self.rollout is not None:
            serve = sum(pod.serves for pod in self.pods.values())
            self.rollout = replace(
                self.rollout,
                observed_generation=data.draw(st.integers(0, self.rollout.generation)),
                replicas=data.draw(st.integers(0, 4)),
                updated=data.draw(st.integers(0, 3)),
                available=data.draw(st.integers(0, serve)),
                stuck=data.draw(st.sampled_from(["", "", "", "deadline exceeded"])),
            )

    @rule()
    def settle(self) -> None:
        """Everything comes to rest: every pod that is wanted is there, and is well."""
        for slot in range(4):
            self.pods.pop(slot, None)
            if slot < self.wanted:
                self.make(slot, ZONES[slot % 3])
        if self.rollout is not None:
            generation, wanted = self.rollout.generation, self.wanted
            rendered = self.rollout.rendered
            self.rollout = Rollout(rendered, generation, generation, wanted, wanted, wanted)
        for slot in range(4):
            self.ask(slot)
        self.look()

    @rule()
    def count_old_pods(self) -> None:
        """The Deployment's status is still of what it was before: all there, and nothing of it is meant."""
        if self.rollout is not None and self.rollout.generation > 1:
            wanted, before = self.wanted, self.rollout.generation - 1
            self.rollout = Rollout(
                self.rollout.rendered, self.rollout.generation, before, wanted, wanted, wanted
            )

    @rule(slot=SLOTS, check=st.sampled_from(SelfCheckReason), asked=st.booleans())
    def be_away(self, slot: int, check: SelfCheckReason, asked: bool) -> None:
        """The operator starts again, and a pod was replaced meanwhile; it is asked first, or not."""
        self.be_well()
        self.restart()
        self.make(slot, ZONES[slot % 3])
        self.pods[slot].check = check
        if asked:
            self.ask(slot)
        self.look()

    @rule(wanted=st.integers(1, 3), error=ERRORS)
    def be_edited(self, wanted: int, error: OperatorError) -> None:
        """All was well, of the generation before; and this one's first reconcile fails."""
        self.be_well()
        self.edit(wanted)
        self.fail(error)

    @rule()
    def be_well(self) -> None:
        """All is as declared, and the operator has seen it."""
        self.credentials, self.refused, self.conflict = CREDENTIALS, False, False
        self.look()
        self.settle()

    @rule(
        slot=SLOTS,
        zone=st.sampled_from(["", *ZONES]),
        ready=st.sampled_from([True, True, False]),
        terminating=st.sampled_from([False, False, True]),
    )
    def replace_a_pod(self, slot: int, zone: str, ready: bool, terminating: bool) -> None:
        self.make(slot, zone)
        pod = self.pods[slot]
        pod.endpoint = replace(pod.endpoint, ready=ready, terminating=terminating)

    @rule(slot=SLOTS)
    def lose_a_pod(self, slot: int) -> None:
        self.pods.pop(slot, None)

    @rule(zone=st.sampled_from(ZONES))
    def lose_a_zone(self, zone: str) -> None:
        for pod in self.pods.values():
            if pod.endpoint.zone == zone:
                pod.endpoint = replace(pod.endpoint, ready=False)
                self.hear(pod, None)

    @precondition(lambda self: self.pods)
    @rule(
        data=st.data(),
        storage=st.sampled_from(StorageReason),
        check=st.sampled_from(SelfCheckReason),
        problem=st.sampled_from([None, None, "shard-0: no"]),
    )
    def change_a_replica(
        self, data: st.DataObject, storage: StorageReason, check: SelfCheckReason, problem: str | None
    ) -> None:
        pod = self.pods[data.draw(st.sampled_from(sorted(self.pods)))]
        pod.storage, pod.check, pod.problem = storage, check, problem

    @precondition(lambda self: self.pods)
    @rule(data=st.data())
    def follow_the_policy(self, data: st.DataObject) -> None:
        self.pods[data.draw(st.sampled_from(sorted(self.pods)))].revision = self.revision

    @rule(minutes=st.integers(1, 90))
    def pass_time(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    # What the operator does.

    @rule(slot=SLOTS)
    def ask(self, slot: int) -> None:
        if slot in self.pods:
            self.hear(self.pods[slot], self.pods[slot].says())

    @rule(slot=SLOTS)
    def hear_nothing(self, slot: int) -> None:
        if slot in self.pods:
            self.hear(self.pods[slot], None)

    @rule()
    def restart(self) -> None:
        """What it had heard is forgotten; the status stays."""
        self.asked.clear()

    @rule()
    def look(self) -> None:
        """A reconcile: what differs is applied, then it is judged."""
        if self.told.deleted:
            return
        rendered = render(self.seen(), SETTINGS)
        self.revision = rendered.draft.revision
        deployment = rendered.child("Deployment", BASE.registry.key)
        if deployment is not None and not self.conflict:
            self.apply(fingerprint(deployment))
        status = judge(self.seen(), rendered, SETTINGS).document()
        self.told.write(status, format_time(self.now), holds=self.holds(), fault=self.fault())
        if self.holds() and self.asked >= {pod.name for pod in self.pods.values() if pod.serves}:
            assert self.told.read == "Current", status
        if self.fault() and self.asked >= {pod.name for pod in self.pods.values()}:
            assert self.told.read == "Failed", status

    @rule(error=ERRORS)
    def fail(self, error: OperatorError) -> None:
        """A reconcile that ends in an error; what is true of this generation stays true."""
        if self.told.deleted:
            return
        before = RegistryStatus.model_validate(self.told.status)
        status = failure.judge(before, self.told.generation, error, self.now, SETTINGS).document()
        self.told.write(status, format_time(self.now), holds=False, fault=not isinstance(error, PASSING))

    @rule()
    def be_unreadable(self) -> None:
        """An older CRD, or somebody's hand: only the conditions that every kind has are known."""
        if self.told.deleted:
            return
        before = OwnStatus.model_validate(self.told.status)
        error = InvalidResource("Registry harbour/harbour", "spec.hostname: no")
        said = failure.judge(before, self.told.generation, error, self.now, SETTINGS).document()
        self.told.write({**self.told.status, **said}, format_time(self.now), holds=False, fault=True)

    @invariant()
    def is_never_more_than_true(self) -> None:
        self.told.check()

    # What is so.

    def make(self, slot: int, zone: str) -> None:
        self.made += 1
        self.pods[slot] = Pod(Endpoint(f"harbour-{self.made}", zone, ready=True), self.revision)

    def hear(self, pod: Pod, said: ReplicaState | None) -> None:
        self.asked.add(pod.name)
        self.known[pod.name] = said

    def apply(self, rendered: str) -> None:
        """The Deployment, whose controller has not seen it yet."""
        if self.rollout is None:
            self.rollout = Rollout(rendered, 1, 0, 0, 0, 0)
        elif self.rollout.rendered != rendered:
            self.rollout = replace(
                self.rollout, rendered=rendered, generation=self.rollout.generation + 1, updated=0
            )
        self.applied = self.told.generation

    def seen(self) -> RegistryObserved:
        """What the reconcile reads."""
        of = registry(
            meta={"generation": self.told.generation}, status=self.told.status, replicas=self.wanted
        )
        found = {key: value for key, value in BASE.secrets.found.items() if key != BUCKET}
        if self.credentials is not None:
            found[BUCKET] = self.credentials
        refused = frozenset({"harbour"}) if self.refused else frozenset()
        return replace(
            BASE,
            registry=of,
            now=self.now,
            rollout=self.rollout,
            endpoints=tuple(pod.endpoint for _, pod in sorted(self.pods.items())),
            replicas={pod.name: self.known[pod.name] for pod in self.pods.values() if pod.name in self.asked},
            secrets=SecretView(found, refused),
            conflicts=(Conflict("Deployment", of.key),) if self.conflict else (),
            waiting={"harbour-9": Waiting("ImagePullBackOff", "no such image")} if self.stuck() else {},
        )

    def stuck(self) -> bool:
        return self.rollout is not None and bool(self.rollout.stuck)

    def declared(self) -> bool:
        """Whether what the user alone provides is there."""
        return self.credentials is CREDENTIALS and not self.refused and not self.conflict

    def heard(self, *, serving: bool) -> list[ReplicaState | None]:
        """What is known of the replicas that serve, or of all that do not end."""
        return [
            self.known.get(pod.name)
            for pod in self.pods.values()
            if (pod.serves if serving else not pod.endpoint.terminating)
        ]

    def holds(self) -> bool:
        """Said slowly: declared, applied, rolled out, the bucket good, and each that serves has passed."""
        if not self.declared() or self.rollout is None or self.applied != self.told.generation:
            return False
        rollout, serving = self.rollout, self.heard(serving=True)
        rolled = rollout.observed_generation == rollout.generation and rollout.replicas <= self.wanted
        enough = min(len(serving), rollout.updated, rollout.available) >= self.wanted
        storages = [one.storage.reason for one in self.heard(serving=False) if one is not None]
        stored = StorageReason.READY in storages and MINE.issuperset(storages)
        passed = all(one is not None and one.self_check and one.self_check.good for one in serving)
        return rolled and enough and stored and passed

    def fault(self) -> bool:
        """Whether only somebody's doing mends it."""
        storages = {one.storage.reason for one in self.heard(serving=False) if one is not None}
        return not self.declared() or bool(storages - MINE - {StorageReason.UNREACHABLE})


TestRegistryHistory = History.TestCase
TestRegistryHistory.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
