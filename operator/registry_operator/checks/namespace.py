"""The status of a Namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_operator import names
from registry_operator.checks.finding import Finding, conditions, kept, no, progress, unknown, yes
from registry_operator.claims import Outcome, owner_of, settle
from registry_operator.desired.policy import rules
from registry_operator.models import NamespaceStatus

if TYPE_CHECKING:
    from registry_operator.models import Registry
    from registry_operator.observed import NamespaceObserved

BOUND, READY = "Bound", "Ready"


def judge(observed: NamespaceObserved) -> NamespaceStatus:
    """The whole status."""
    namespace = observed.namespace
    bound = _bound(observed)
    ready = _ready(observed, observed.registry, bound)
    findings = (ready, *progress(ready), bound)
    place = f"{observed.registry.spec.hostname}/{namespace.spec.name}" if observed.registry else None
    return NamespaceStatus(
        observed_generation=namespace.meta.generation,
        conditions=conditions(findings, namespace.status, namespace.meta.generation, observed.now),
        bound_to=place if bound.status == "True" else None,
    )


def _bound(observed: NamespaceObserved) -> Finding:
    """Bound is only said of a claim that is persisted: it must survive a restart."""
    namespace, registry = observed.namespace, observed.registry
    if registry is None:
        message = f"Registry {namespace.registry} of spec.registryRef does not exist"
        return no(BOUND, "RegistryNotFound", message)
    claims = (namespace, *observed.rivals)
    settled = settle(registry, claims, observed.kubernetes_namespaces, observed.claims)
    outcome = settled.outcomes.get(namespace.meta.uid, Outcome.NOT_ALLOWED)
    if outcome is not Outcome.BOUND:
        return no(BOUND, outcome, _refusal(outcome, observed, registry), mend=True)
    name = namespace.spec.name
    if owner_of(name, observed.claims) != settled.owners[name]:
        return unknown(BOUND, Outcome.PENDING, f"{name} is free; the claim is being written")
    return yes(BOUND, Outcome.BOUND, f"{name} belongs to the Kubernetes namespace {namespace.meta.namespace}")


def _refusal(outcome: Outcome, observed: NamespaceObserved, registry: Registry) -> str:
    """Why, and who may mend it. It never tells whose the name is: that is another tenant's affair."""
    name, account = observed.namespace.spec.name, observed.namespace.meta.namespace
    release = (
        f"kubectl annotate registry.roadstead.dev {registry.meta.name} --namespace "
        f"{registry.meta.namespace} --overwrite {names.RELEASE}={name}"
    )
    match outcome:
        case Outcome.NAME_TAKEN:
            return (
                f"{name} belongs to another account of Registry {registry.key}; choose another spec.name. "
                f"Once that account has no Namespace for it, the Registry's owner can release it:\n{release}"
            )
        case Outcome.OWNER_CHANGED:
            return (
                f"{name} belongs to an earlier Kubernetes namespace {account}, which was deleted; this one "
                f"inherits nothing until the Registry's owner releases the name:\n{release}"
            )
        case Outcome.DUPLICATE:
            return f"another Namespace in {account} already has {name}; delete one of the two"
        case _:
            return (
                f"Registry {registry.key} does not let the Kubernetes namespace {account} in; "
                "its owner can, by spec.allowedNamespaces"
            )


def _ready(observed: NamespaceObserved, registry: Registry | None, bound: Finding) -> Finding:
    """Bound, and every replica serves it."""
    namespace, reached = observed.namespace, observed.propagation
    if bound.status != "True" or registry is None:
        return Finding(READY, bound.status, bound.reason, bound.message, bound.mend)
    before = kept(READY, namespace.status, namespace.meta.generation)
    if reached is None:
        return before or unknown(READY, "NotReported", "the Registry has not been looked at yet")
    owner = owner_of(namespace.spec.name, observed.claims)
    expected = rules(registry, namespace, owner, observed.tokens) if owner is not None else None
    if reached.policy.namespaces.get(namespace.spec.name) != expected:
        return no(READY, "Propagating", "it is not part of the Registry's policy yet")
    if reached.everywhere or (before and before.status == "True"):
        return yes(READY, "InForce", "every replica that serves knows it")
    if reached.everywhere is None:
        return before or unknown(READY, "NotReported", "no replica that serves has reported yet")
    return no(READY, "Propagating", "not every replica that serves knows it yet")
