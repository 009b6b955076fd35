"""Whatever is observed, a status never says more than was seen."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st
from registry_operator.checks.registry import judge
from registry_operator.desired.registry import render
from registry_operator.models import Condition, Key, Registry, RegistryStatus
from registry_operator.observed import Conflict, Endpoint, RegistryObserved, Rollout, SecretData, SecretView

from registry_runtime.contract.state import StorageReason
from tests.unit.operator.harbour import CREDENTIALS, SETTINGS, metadata, observed, running, state
from tests.unit.operator.kstatus import kstatus

T = TypeVar("T")


def mostly(usual: T, *others: T) -> st.SearchStrategy[T]:
    """Faults are rare enough that everything is well now and then."""
    return st.sampled_from([usual] * 12 + list(others))


BASE, RENDERED = running(observed())
GOOD = judge(BASE, RENDERED, SETTINGS)
PODS = [f"harbour-{number}" for number in range(5)]
COUNTS = st.integers(0, 4)
ENDPOINTS = st.builds(
    Endpoint,
    st.sampled_from(PODS),
    st.sampled_from(["", "zone-a", "zone-b", "zone-c"]),
    st.booleans(),
    terminating=st.booleans(),
)
SEVERAL = st.lists(ENDPOINTS, max_size=5, unique_by=lambda one: one.pod)
STATES = st.none() | st.builds(
    state,
    st.just("pod"),
    st.sampled_from(["old", RENDERED.draft.revision]),
    mostly(StorageReason.READY, *StorageReason),
)
ROLLOUTS = st.builds(
    Rollout,
    st.sampled_from(["another", BASE.rollout.rendered if BASE.rollout else ""]),
    st.integers(1, 2),
    st.integers(0, 2),
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
)


@st.composite
def statuses(draw: st.DrawFn) -> RegistryStatus:
    """What was written before: nothing, or that all is well, of any generation."""
    generation = draw(st.integers(0, 3))

    def earlier(condition: Condition) -> Condition:
        return replace(condition, observed_generation=generation)

    conditions = tuple(map(earlier, GOOD.conditions)) if draw(st.booleans()) else ()
    return GOOD.model_copy(update={"observed_generation": generation, "conditions": conditions})


@st.composite
def sights(draw: st.DrawFn) -> RegistryObserved:
    """A Registry in any state that one reconcile might meet."""
    meta = replace(BASE.registry.meta, generation=draw(st.integers(1, 3)))
    credentials = draw(mostly(CREDENTIALS, SecretData({}), None))
    secrets = {key: value for key, value in BASE.secrets.found.items() if key.name != "s3"}
    return replace(
        BASE,
        registry=replace(BASE.registry, meta=meta, status=draw(statuses())),
        endpoints=tuple(draw(st.just(BASE.endpoints) | SEVERAL)),
        replicas=draw(st.just(BASE.replicas) | st.dictionaries(st.sampled_from(PODS), STATES)),
        rollout=draw(st.just(BASE.rollout) | ROLLOUTS | st.none()),
        secrets=SecretView(
            secrets | ({Key("harbour", "s3"): credentials} if credentials else {}),
            draw(mostly(frozenset(), frozenset({"harbour"}))),
        ),
        conflicts=draw(mostly((), (Conflict("Service", BASE.registry.key),))),
    )


@given(sights())
def test_ready_is_true_of_this_generation_or_not_said(seen: RegistryObserved) -> None:
    """Ready needs everything that it claims, and every condition speaks of the generation that was read."""
    found = judge(seen, render(seen, SETTINGS), SETTINGS)
    conditions = {one.type: one.status for one in found.conditions}
    generation = seen.registry.meta.generation
    assert found.observed_generation == generation
    assert {one.observed_generation for one in found.conditions} == {generation}
    serving = [one for one in seen.endpoints if one.ready and not one.terminating]
    assert (conditions["Available"] == "True") == bool(serving)
    assert (conditions["ZoneRedundant"] == "True") == (len({one.zone for one in serving} - {""}) >= 3)
    if conditions["Ready"] == "True":
        assert seen.rollout
        assert BASE.rollout
        assert seen.rollout.rendered == BASE.rollout.rendered
        assert seen.rollout.observed_generation >= seen.rollout.generation
        assert not seen.conflicts
        assert not seen.secrets.refused
        assert seen.secrets.get(Key("harbour", "s3")) is CREDENTIALS
        assert min(len(serving), seen.rollout.available, seen.rollout.updated) >= 3


@given(sights())
def test_a_policy_in_force_was_measured(seen: RegistryObserved) -> None:
    """True is only said when every replica that serves reported the revision, or had before a restart."""
    found = judge(seen, render(seen, SETTINGS), SETTINGS)
    propagated = found.condition("PolicyPropagated")
    assert propagated
    if propagated.status == "True":
        serving = {one.pod for one in seen.endpoints if one.ready and not one.terminating}
        answers = [state for pod, state in seen.replicas.items() if pod in serving]
        assert all(answer and answer.policy_revision == RENDERED.draft.revision for answer in answers)
        before = seen.registry.status.condition("PolicyPropagated")
        kept = before and before.observed_generation == seen.registry.meta.generation
        assert kept or len(answers) == len(serving) > 0


@given(sights())
def test_kstatus_reads_what_is_meant(seen: RegistryObserved) -> None:
    """Current exactly when Ready; else either Stalled or Reconciling, never both."""
    found = judge(seen, render(seen, SETTINGS), SETTINGS)
    conditions = {one.type: one.status for one in found.conditions}
    trouble = (conditions["Reconciling"], conditions["Stalled"])
    assert trouble.count("True") == (conditions["Ready"] != "True")
    read = kstatus(seen.registry.meta.generation, found.document())
    assert (read == "Current") == (conditions["Ready"] == "True")
    assert (read == "Failed") == (conditions["Stalled"] == "True")
    assert kstatus(seen.registry.meta.generation + 1, found.document()) == "InProgress"


@given(sights())
def test_a_status_is_stable(seen: RegistryObserved) -> None:
    """Read back from the API and judged again it is the same: nothing is written twice."""
    rendered = render(seen, SETTINGS)
    first = judge(seen, rendered, SETTINGS)
    spec = {"hostname": "harbour.test", "storage": {"ephemeral": {}}}
    read = Registry.parse({"metadata": metadata("x"), "spec": spec, "status": first.document()}).status
    assert read == first
    again = replace(seen, registry=replace(seen.registry, status=read))
    assert judge(again, rendered, SETTINGS) == first
