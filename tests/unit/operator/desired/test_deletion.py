"""The finalizer of a Registry: never left behind, and never gone before the content that was to go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from registry_operator import names
from registry_operator.desired.deletion import Step, finalizers, is_emptied, step
from registry_operator.desired.registry import render
from registry_operator.models import Key, Registry
from registry_operator.observed import KubernetesNamespace, RegistryObserved

from registry_runtime.contract.state import EmptyingState, ReplicaState
from tests.unit.operator.harbour import (
    MADE,
    S3,
    SETTINGS,
    metadata,
    observed,
    registry,
    running,
    state,
    view,
)

EPHEMERAL: dict[str, Any] = {"ephemeral": {}}
OTHERS = "somebody.example/else"


def told(*, done: bool, owner: str = "uid-harbour-harbour") -> ReplicaState:
    """What the pod says that deletes the content."""
    emptying = EmptyingState(owner=owner, began=MADE, objects=3, size=100, done=done)
    return state("harbour-0", "").model_copy(update={"emptying": emptying})


class Deletion(RuleBasedStateMachine):
    """A user, an operator that may be away or late, a Kubernetes namespace, and a bucket."""

    @initialize(policy=st.sampled_from(["Retain", "Delete"]), s3=st.booleans())
    def apply(self, policy: str, s3: bool) -> None:
        self.policy, self.s3 = policy, s3
        self.finalizers = [OTHERS]
        self.version = 1
        self.deleting = self.terminating = self.emptied = self.gone = False
        self.look()

    @precondition(lambda self: self.gone)
    @rule(policy=st.sampled_from(["Retain", "Delete"]))
    def apply_again(self, policy: str) -> None:
        """Another one of the same name."""
        self.apply(policy, s3=self.s3)

    def seen(self) -> RegistryObserved:
        storage: dict[str, Any] = {"s3": S3} if self.s3 else EPHEMERAL
        deleted = {"deletionTimestamp": MADE.isoformat()} if self.deleting else {}
        of = Registry.parse(
            {
                "metadata": metadata(
                    "harbour", resourceVersion=str(self.version), finalizers=list(self.finalizers), **deleted
                ),
                "spec": {"hostname": "harbour.test", "storage": storage, "deletionPolicy": self.policy},
            }
        )
        account = KubernetesNamespace("harbour", "uid", terminating=self.terminating)
        return observed(
            of,
            kubernetes_namespaces={"harbour": account},
            replicas={"harbour-0": told(done=True)} if self.emptied else {},
        )

    @precondition(lambda self: not self.gone)
    @rule()
    def look(self) -> None:
        """The operator reads."""
        self.read = self.seen()

    @precondition(lambda self: not self.gone)
    @rule(late=st.booleans())
    def act(self, late: bool) -> None:
        """The operator does what its last look asks for; a write meets the version that it read, or fails."""
        if not late:
            self.look()
        of, chosen = self.read.registry, step(self.read)
        match chosen:
            case Step.HOLD | Step.RELEASE if of.meta.resource_version == str(self.version):
                if chosen is Step.RELEASE and self.deleting and self.policy == "Delete" and self.s3:
                    assert self.emptied or self.terminating
                assert not (chosen is Step.HOLD and self.deleting), "the API server lets nobody add one then"
                others = OTHERS in self.finalizers
                self.finalizers = finalizers(of, held=chosen is Step.HOLD)
                assert (OTHERS in self.finalizers) is others
                self.version += 1
            case Step.EMPTY:
                self.emptied = True
        self.disappear()

    @precondition(lambda self: not self.gone)
    @rule(policy=st.sampled_from(["Retain", "Delete"]))
    def change(self, policy: str) -> None:
        """The user changes their mind, which they may also do after the deletion began."""
        if policy != self.policy:
            self.policy = policy
            self.version += 1

    @precondition(lambda self: not self.gone)
    @rule()
    def delete(self) -> None:
        """kubectl delete."""
        if not self.deleting:
            self.deleting = True
            self.version += 1

    @precondition(lambda self: not self.gone)
    @rule()
    def delete_namespace(self) -> None:
        """The whole Kubernetes namespace goes."""
        self.terminating = True
        self.delete()

    @precondition(lambda self: not self.gone)
    @rule()
    def others_are_done(self) -> None:
        """Whoever had a finalizer, too."""
        if OTHERS in self.finalizers:
            self.finalizers.remove(OTHERS)
            self.version += 1
            self.disappear()

    def disappear(self) -> None:
        self.gone = self.deleting and not self.finalizers

    @invariant()
    def ends(self) -> None:
        """From every state an operator that is there lets the Registry go, if it is deleted."""
        if not self.deleting or self.gone:
            return
        seen, emptied = self.seen(), self.emptied
        for _ in range(3):
            match step(seen):
                case Step.EMPTY:
                    assert self.policy == "Delete"
                    assert not self.terminating
                    assert not emptied
                    emptied = True
                    seen = replace(seen, replicas={"harbour-0": told(done=True)})
                case Step.RELEASE:
                    left = tuple(finalizers(seen.registry, held=False))
                    meta = replace(seen.registry.meta, finalizers=left)
                    seen = replace(seen, registry=replace(seen.registry, meta=meta))
                case chosen:
                    assert chosen is Step.NONE
        assert names.CONTENT not in seen.registry.meta.finalizers

    @invariant()
    def is_held_as_declared(self) -> None:
        """While it is not deleted the finalizer follows the policy, both ways."""
        if not self.deleting:
            held, wanted = names.CONTENT in self.finalizers, self.policy == "Delete" and self.s3
            change = {(False, True): Step.HOLD, (True, False): Step.RELEASE}
            assert step(self.seen()) is change.get((held, wanted), Step.NONE)


TestDeletion = Deletion.TestCase
TestDeletion.settings = settings(max_examples=150, stateful_step_count=20, deadline=None)


def test_only_what_deletes_is_held() -> None:
    """The default waits for nothing, nor does what lies in a pod, or what may not run anything."""
    assert step(observed()) is Step.NONE
    delete = registry(deletionPolicy="Delete")
    assert step(observed(delete)) is Step.HOLD
    assert step(observed(delete, secrets=view(refused=["harbour"]))) is Step.NONE
    trial = registry(storage=EPHEMERAL, replicas=1, deletionPolicy="Delete")
    assert step(observed(trial)) is Step.NONE


def test_the_word_of_a_pod_counts_for_its_own_registry() -> None:
    """One of the same name that was deleted before may still have a pod that says it is done."""
    assert is_emptied(observed(replicas={"harbour-0": told(done=True)}))
    assert not is_emptied(observed(replicas={"harbour-0": told(done=True, owner="another")}))
    assert not is_emptied(observed(replicas={"harbour-0": told(done=False), "harbour-1": None}))


def test_the_replicas_make_room_for_one_pod_that_deletes() -> None:
    """All end before it starts; it mounts what leads to the bucket, and nothing that may be gone by now."""
    serving = render(observed(), SETTINGS).child("Deployment", Key("harbour", "harbour"))
    going = registry(
        meta={"deletionTimestamp": MADE.isoformat()},
        deletionPolicy="Delete",
        tls={"secretRef": {"name": "own"}},
        encryption={"keySecretRef": {"name": "keys"}, "activeKey": "k1"},
        autoscaling={"maxReplicas": 9},
    )
    seen, _ = running(observed(going))
    rendered = render(seen, SETTINGS)
    assert ("HorizontalPodAutoscaler", Key("harbour", "harbour")) in rendered.unwanted
    emptying = rendered.child("Deployment", Key("harbour", "harbour"))
    assert serving
    assert emptying
    assert emptying["spec"]["strategy"] == {"type": "Recreate"}
    assert emptying["spec"]["replicas"] == 1
    assert emptying["spec"]["selector"] == serving["spec"]["selector"]
    pod, before = (one["spec"]["template"]["spec"] for one in (emptying, serving))
    assert pod["containers"][0]["args"] == ["empty", "--config", "/etc/roadstead/config/config.json"]
    for field in ("serviceAccountName", "securityContext", "terminationGracePeriodSeconds"):
        assert pod[field] == before[field]
    assert pod["containers"][0]["securityContext"] == before["containers"][0]["securityContext"]
    mounts = {one["name"] for one in pod["containers"][0]["volumeMounts"]}
    assert mounts == {"scratch", "config", "internal", "cache", "credentials"}
    assert {one["name"] for one in pod["volumes"]} == mounts
