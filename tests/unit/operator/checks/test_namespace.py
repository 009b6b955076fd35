"""The status of a Namespace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from registry_operator.checks.namespace import judge
from registry_operator.checks.propagation import propagation
from registry_operator.claims import settle
from registry_operator.models import Namespace, NamespaceStatus
from registry_operator.observed import KubernetesNamespace, NamespaceObserved, Propagation

from tests.unit.operator.harbour import NOW, accounts, claim, observed, registry, running
from tests.unit.operator.kstatus import kstatus

PODS_READ = {"role": "Reader", "subjects": [{"serviceAccount": {"name": "web"}}]}


def bound(*rivals: Namespace, mine: Namespace | None = None, **spec: Any) -> NamespaceObserved:
    """A claim that the Registry's reconcile has settled, written and propagated."""
    mine = mine or claim()
    of = registry(**spec)
    known = accounts("east")
    seen, rendered = running(observed(of, namespaces=(mine, *rivals), kubernetes_namespaces=known))
    return NamespaceObserved(
        mine,
        NOW,
        of,
        rivals,
        kubernetes_namespaces=known,
        claims=rendered.draft.settlement.data,
        propagation=propagation(seen, rendered),
    )


def said(seen: NamespaceObserved) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.reason) for one in judge(seen).conditions}


def test_a_claim_with_rules_of_its_own_is_ready() -> None:
    """What it says of its repositories is part of what must be in force."""
    for spec in ({"sparseIndexes": False}, {"privateOnly": True}, {"access": [PODS_READ]}):
        assert said(bound(mine=claim(spec=spec)))["Ready"] == ("True", "InForce")
        older = replace(bound(), namespace=claim(spec=spec))
        assert said(older)["Ready"] == ("False", "Propagating")


def message(seen: NamespaceObserved, kind: str = "Bound") -> str:
    found = judge(seen).condition(kind)
    assert found
    return found.message


def written(seen: NamespaceObserved) -> NamespaceObserved:
    """The same, after its status was written."""
    return replace(seen, namespace=replace(seen.namespace, status=judge(seen)))


def kstatus_of(seen: NamespaceObserved) -> str:
    return kstatus(seen.namespace.meta.generation, judge(seen).document())


def test_a_claim_that_won_is_bound_and_ready() -> None:
    """Persisted, part of the policy, and in force on every replica."""
    found = judge(bound())
    assert said(bound()) == {
        "Ready": ("True", "InForce"),
        "Reconciling": ("False", "InForce"),
        "Stalled": ("False", "InForce"),
        "Bound": ("True", "Bound"),
    }
    assert found.bound_to == "harbour.test/pier-one"
    assert kstatus_of(bound()) == "Current"
    assert judge(replace(written(bound()), now=NOW.replace(year=2030))) == found


def test_nothing_is_promised_before_it_is_persisted() -> None:
    """A claim that would win waits for the ConfigMap: a restart must not give the name to another."""
    waiting = replace(bound(), claims={})
    assert said(waiting)["Bound"] == ("Unknown", "Pending")
    assert said(waiting)["Ready"] == ("Unknown", "Pending")
    assert kstatus_of(waiting) == "InProgress"


def test_a_registry_that_is_not_there_may_come() -> None:
    """Resources are applied in any order."""
    alone = NamespaceObserved(claim(), NOW)
    assert said(alone)["Bound"] == ("False", "RegistryNotFound")
    assert kstatus_of(alone) == "InProgress"


def test_a_name_of_another_is_refused_without_saying_whose() -> None:
    """Who may mend it is said; the other tenant is not named."""
    east = claim(account="east")
    open_ = {"from": "All"}
    mine = claim(creationTimestamp="2026-11-21T00:00:00Z")
    lost = bound(east, mine=mine, allowedNamespaces=open_)
    assert said(lost)["Bound"] == ("False", "NameTaken")
    assert said(lost)["Ready"] == ("False", "NameTaken")
    assert "east" not in message(lost)
    command = "kubectl annotate registry.roadstead.dev harbour --namespace harbour --overwrite"
    assert f"{command} roadstead.dev/release=pier-one" in message(lost).splitlines()
    assert judge(lost).bound_to is None
    assert kstatus_of(lost) == "Failed"


def test_each_refusal_says_who_may_mend_it() -> None:
    """OwnerChanged and NotAllowed are the Registry's owner's, DuplicateClaim one's own."""
    seen = bound()
    again = {"harbour": KubernetesNamespace("harbour", "another")}
    changed = replace(seen, kubernetes_namespaces=again)
    assert said(changed)["Bound"] == ("False", "OwnerChanged")
    assert "roadstead.dev/release=pier-one" in message(changed)

    foreign = replace(seen, namespace=claim(account="east"))
    assert said(foreign)["Bound"] == ("False", "NotAllowed")
    assert "spec.allowedNamespaces" in message(foreign)

    second = replace(seen, namespace=claim(called="zzz"), rivals=(claim(),))
    assert said(second)["Bound"] == ("False", "DuplicateClaim")


def with_propagation(seen: NamespaceObserved, **changes: Any) -> NamespaceObserved:
    assert seen.propagation
    return replace(seen, propagation=replace(seen.propagation, **changes))


def test_ready_waits_for_every_replica_once() -> None:
    """The first time every replica must have it; a later change of the policy puts nothing in doubt."""
    seen = bound()
    behind = with_propagation(seen, reported={"harbour-0": "old"})
    assert said(behind)["Ready"] == ("False", "Propagating")
    assert said(behind)["Bound"] == ("True", "Bound")
    assert said(replace(behind, namespace=written(seen).namespace))["Ready"] == ("True", "InForce")

    absent = replace(
        written(seen),
        propagation=Propagation.of(registry_policy_without_claims(seen), "r", {"harbour-0": "r"}),
    )
    assert said(absent)["Ready"] == ("False", "Propagating")


def registry_policy_without_claims(seen: NamespaceObserved) -> Any:
    assert seen.propagation
    return seen.propagation.policy.model_copy(update={"namespaces": {}})


def test_a_restart_takes_nothing_back() -> None:
    """Before the Registry was looked at again, what was said of this generation stands."""
    seen = written(bound())
    assert judge(replace(seen, propagation=None)) == seen.namespace.status
    unasked = with_propagation(seen, reported={}, unasked=frozenset({"harbour-0"}))
    assert judge(unasked) == seen.namespace.status
    fresh = replace(bound(), propagation=None)
    assert said(fresh)["Ready"] == ("Unknown", "NotReported")
    assert NamespaceStatus().observed_generation == -1


def test_a_claim_alone_and_all_together_come_to_the_same() -> None:
    """The reconcile of one Namespace decides as the Registry's does."""
    one, two = claim(), claim(account="east")
    of = registry(allowedNamespaces={"from": "All"})
    together = settle(of, [one, two], accounts("east"), {})
    seen = NamespaceObserved(
        two, NOW, of, (one,), kubernetes_namespaces=accounts("east"), claims=together.data
    )
    assert said(seen)["Bound"][1] == together.outcomes[two.meta.uid]
