"""What is said of an Ingress or a route, from what their controllers say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from registry_operator.checks.registry import judge
from registry_operator.models import Condition
from registry_operator.observed import Absence, Reported

from tests.unit.operator.harbour import SETTINGS, observed, registry, running

EDGE = {"name": "edge"}
HTTP = {"gateway": {"parentRefs": [EDGE], "kind": "HTTPRoute"}}
TLS = {"gateway": {"parentRefs": [EDGE], "kind": "TLSRoute"}}
INGRESS: dict[str, Any] = {"ingress": {}}


def reported(**status: Any) -> Reported:
    return Reported(2, "", status)


def parents(*conditions: tuple[str, str], name: str = "edge", generation: int = 2) -> Reported:
    said = [
        {"type": kind, "status": status, "observedGeneration": generation, "message": f"about {kind}"}
        for kind, status in conditions
    ]
    return reported(parents=[{"parentRef": {"name": name}, "conditions": said}])


UNACCEPTED = parents(("Accepted", "False"))
UNRESOLVED = parents(("Accepted", "True"), ("ResolvedRefs", "False"))
WELL = parents(("Accepted", "True"), ("ResolvedRefs", "True"))
ADDRESS = reported(loadBalancer={"ingress": [{"hostname": "lb.example.com"}]})
TAKEN = reported(ancestors=[{"ancestorRef": EDGE, "conditions": [{"type": "Accepted", "status": "True"}]}])
REFUSED = reported(
    ancestors=[{"ancestorRef": EDGE, "conditions": [{"type": "Accepted", "status": "False", "reason": "No"}]}]
)


def found(exposure: dict[str, Any], **changes: Any) -> tuple[Condition | None, Condition]:
    """Exposed and Ready."""
    seen, rendered = running(observed(registry(exposure=exposure)))
    status = judge(replace(seen, **changes), rendered, SETTINGS)
    ready = status.condition("Ready")
    assert ready
    return status.condition("Exposed"), ready


@pytest.mark.parametrize(
    ("exposure", "said", "reason", "ready"),
    [
        (INGRESS, {}, "AddressPending", "True"),
        (INGRESS, {"Ingress": ADDRESS}, "AddressAssigned", "True"),
        (TLS, {}, "RoutePending", "True"),
        (TLS, {"TLSRoute": parents(("Accepted", "True"))}, "RoutePending", "True"),
        (TLS, {"TLSRoute": parents(("Accepted", "False"), name="other")}, "RoutePending", "True"),
        (TLS, {"TLSRoute": parents(("Accepted", "False"), generation=1)}, "RoutePending", "True"),
        (TLS, {"TLSRoute": UNACCEPTED}, "RouteRefused", "False"),
        (TLS, {"TLSRoute": UNRESOLVED}, "RouteRefused", "False"),
        (TLS, {"TLSRoute": WELL}, "RouteAccepted", "True"),
        (HTTP, {"HTTPRoute": WELL}, "BackendPolicyPending", "True"),
        (HTTP, {"HTTPRoute": WELL, "BackendTLSPolicy": REFUSED}, "BackendPolicyRefused", "False"),
        (HTTP, {"HTTPRoute": WELL, "BackendTLSPolicy": TAKEN}, "RouteAccepted", "True"),
        (INGRESS | TLS, {"Ingress": ADDRESS, "TLSRoute": UNACCEPTED}, "RouteRefused", "False"),
        (INGRESS | TLS, {"TLSRoute": WELL}, "AddressPending", "True"),
    ],
)  # fmt: skip
def test_the_first_that_holds_it_back_is_the_reason(
    exposure: dict[str, Any], said: dict[str, Reported], reason: str, ready: str
) -> None:
    """What somebody must mend comes before what may come; only that keeps a Registry from being Ready."""
    exposed, whole = found(exposure, reported=said)
    assert exposed
    assert (exposed.reason, whole.status) == (reason, ready)
    assert (exposed.status == "True") is (reason in {"AddressAssigned", "RouteAccepted"})


@pytest.mark.parametrize(
    ("changes", "reason", "word"),
    [
        ({"unserved": {"HTTPRoute": Absence.MISSING}}, "GatewayApiNotInstalled", "HTTPRoute of gateway"),
        ({"unserved": {"BackendTLSPolicy": Absence.MISSING}}, "GatewayApiNotInstalled", "BackendTLSPolicy"),
        ({"unserved": {"HTTPRoute": Absence.NOT_PERMITTED}}, "NotPermitted", "manifests/"),
        ({"unserved": {"HTTPRoute": Absence.UNANSWERED}}, "KindUnavailable", "conversion webhook"),
        ({"denied": frozenset({"HTTPRoute"})}, "NotPermitted", "rolebinding roadstead-routes"),
        ({"left": frozenset({"TLSRoute"})}, "NotPermitted", "delete TLSRoute"),
    ],
)  # fmt: skip
def test_what_is_missing_has_its_remedy(changes: dict[str, Any], reason: str, word: str) -> None:
    """The kinds of Gateway API, the operator's right to read them, the namespace's consent to write them."""
    exposed, ready = found(HTTP, **changes)
    assert exposed
    assert (exposed.reason, ready.reason) == (reason, reason)
    assert word in exposed.message


def test_a_route_that_may_not_go_is_said_where_none_is_declared() -> None:
    """It leads to the Registry all the same; the command lets it go."""
    exposed, ready = found({}, left=frozenset({"HTTPRoute", "BackendTLSPolicy"}))
    assert exposed
    assert (exposed.status, exposed.reason, ready.reason) == ("False", "NotPermitted", "NotPermitted")
    assert "delete BackendTLSPolicy, HTTPRoute, which spec.exposure has no longer" in exposed.message
    assert "kubectl create rolebinding roadstead-routes --namespace harbour" in exposed.message


def test_nothing_is_said_where_nothing_is_declared() -> None:
    """A Service alone is no exposure that somebody else would have to carry out."""
    assert found({})[0] is None
