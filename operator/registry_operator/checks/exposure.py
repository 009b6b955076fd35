"""Exposed: whether an Ingress or a Gateway leads to the public domain, as their own controllers say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from registry_operator import names
from registry_operator.checks.finding import Finding, no, unknown, yes
from registry_operator.checks.sentences import listed, unavailable
from registry_operator.desired.exposure import kinds_of
from registry_operator.observed import Absence

if TYPE_CHECKING:
    from registry_operator.models import Gateway, ParentRef
    from registry_operator.observed import RegistryObserved, Reported
    from registry_operator.settings import Settings

TYPE = "Exposed"
LONGEST = 300  # characters of what a controller says
ROUTES = {kind for kind, role in names.CONSENT.items() if role == names.ROUTES_ROLE}
Object = Mapping[str, Any]


def check(observed: RegistryObserved, settings: Settings) -> Finding | None:
    """What holds it back first, or that nothing does; None where neither is declared.

    A Registry is Ready without an address: many controllers never say one, and the Service answers.
    """
    exposure = observed.registry.spec.exposure
    found = [_not_let(observed, settings)]
    if exposure.ingress or exposure.gateway:
        found.append(_lacking(observed))
    if exposure.ingress:
        found.append(_ingress(observed))
    if exposure.gateway:
        found += [_route(observed, exposure.gateway), _backend(observed, exposure.gateway)]
    findings = [one for one in found if one]
    worst = sorted(findings, key=lambda one: (one.status == "True", not one.mend, one.status == "Unknown"))
    if not worst or worst[0].status != "True":
        return worst[0] if worst else None
    return yes(TYPE, worst[0].reason, "; ".join(one.message for one in findings))


def _not_let(observed: RegistryObserved, settings: Settings) -> Finding | None:
    """Kinds that its namespace does not let in, or does not let go."""
    denied, left = observed.denied & ROUTES, observed.left & ROUTES
    words = [f"write {listed(denied)} here"] if denied else []
    if left:
        words.append(f"delete {listed(left)}, which spec.exposure has no longer and which stays as it is")
    if not words:
        return None
    command = settings.grant(observed.registry.meta.namespace, names.ROUTES_ROLE)
    message = f"Roadstead may not {', nor '.join(words)}; run:\n{command}"
    return no(TYPE, "NotPermitted", message, mend=True)


def _lacking(observed: RegistryObserved) -> Finding | None:
    """Kinds that the cluster lacks."""
    wanted = kinds_of(observed.registry) - {"Certificate"}
    lacking = {kind: observed.unserved[kind] for kind in sorted(wanted & observed.unserved.keys())}
    if Absence.NOT_PERMITTED in lacking.values():
        message = f"the operator may not read {listed(lacking)}: apply its manifests/ again"
        return no(TYPE, "NotPermitted", message, mend=True)
    if Absence.UNANSWERED in lacking.values():
        return no(TYPE, "KindUnavailable", unavailable(listed(lacking)), mend=True)
    if lacking:
        message = (
            f"the API server does not serve {listed(lacking)} of gateway.networking.k8s.io/v1: install the "
            "CRDs of Gateway API 1.5 or newer (they are found by themselves then)"
        )
        return no(TYPE, "GatewayApiNotInstalled", message, mend=True)
    return None


def _ingress(observed: RegistryObserved) -> Finding:
    reported = observed.reported.get("Ingress")
    balancer = reported.status.get("loadBalancer") or {} if reported else {}
    places = [str(one.get("hostname") or one.get("ip")) for one in balancer.get("ingress") or ()]
    if places:
        return yes(TYPE, "AddressAssigned", f"the Ingress has the address {listed(places)}")
    ingress = observed.registry.spec.exposure.ingress
    named = (
        f"IngressClass {ingress.class_name}" if ingress and ingress.class_name else "the default IngressClass"
    )
    message = (
        f"no controller has given the Ingress an address: look whether one serves {named}, and says addresses"
    )
    return no(TYPE, "AddressPending", message)


def _route(observed: RegistryObserved, gateway: Gateway) -> Finding | None:
    """Each Gateway that is named must have accepted the route, and found what it leads to."""
    if gateway.kind in observed.unserved:
        return None
    reported = observed.reported.get(gateway.kind)
    silent = []
    for parent in gateway.parent_refs:
        said = _said(reported, parent, observed.registry.meta.namespace)
        refused = _refused(said)
        if refused:
            message = f"Gateway {parent.name} refuses the {gateway.kind}: {refused}"
            return no(TYPE, "RouteRefused", message, mend=True)
        if not said or not all({"Accepted", "ResolvedRefs"} <= one.keys() for one in said):
            silent.append(parent.name)
    if silent:
        message = (
            f"no controller has answered for Gateway {listed(silent)}: look whether it is there, whether "
            "a controller serves its GatewayClass, and whether that knows the kind"
        )
        return no(TYPE, "RoutePending", message)
    return yes(TYPE, "RouteAccepted", f"the {gateway.kind} is accepted by {_names(gateway)}")


def _backend(observed: RegistryObserved, gateway: Gateway) -> Finding | None:
    """A gateway that does not know BackendTLSPolicy would speak plain HTTP to the replicas."""
    if gateway.kind != "HTTPRoute" or "BackendTLSPolicy" in observed.unserved:
        return None
    reported = observed.reported.get("BackendTLSPolicy")
    answers = _answers(reported, "ancestors") if reported else []
    refused = _refused(answers)
    if refused:
        return no(TYPE, "BackendPolicyRefused", f"the BackendTLSPolicy is refused: {refused}", mend=True)
    if not answers:
        message = (
            f"no controller has said that it takes the BackendTLSPolicy: if {_names(gateway)} does not, "
            "it cannot speak TLS to the replicas; use a TLSRoute then"
        )
        return unknown(TYPE, "BackendPolicyPending", message)
    return None


def _names(gateway: Gateway) -> str:
    return f"Gateway {listed({one.name for one in gateway.parent_refs})}"


def _said(reported: Reported | None, parent: ParentRef, namespace: str) -> list[dict[str, Object]]:
    """Conditions by type, of each controller that speaks of this parent."""
    wanted = (parent.namespace or namespace, parent.name, parent.section_name, parent.port)
    return _answers(reported, "parents", wanted, namespace) if reported else []


def _answers(
    reported: Reported, field: str, wanted: tuple[object, ...] | None = None, namespace: str = ""
) -> list[dict[str, Object]]:
    """Those that are of the generation of now."""
    found = []
    for one in reported.status.get(field) or ():
        ref = one.get("parentRef") or {}
        place = (ref.get("namespace") or namespace, ref.get("name"), ref.get("sectionName"), ref.get("port"))
        if wanted in {None, place}:
            found.append({
                each["type"]: each
                for each in one.get("conditions") or ()
                if each.get("observedGeneration", reported.generation) >= reported.generation
            })  # fmt: skip
    return found


def _refused(answers: list[dict[str, Object]]) -> str:
    """The sentence of the first condition that must hold and does not; "" where none is so."""
    for conditions in answers:
        for kind in ("Accepted", "ResolvedRefs"):
            if conditions.get(kind, {}).get("status") == "False":
                one = conditions[kind]
                return f"{one.get('reason')}: {str(one.get('message') or '')[:LONGEST]}"
    return ""
