"""Ingress and Gateway API: what is applied to the real kinds, and what their controllers say of it."""

from __future__ import annotations

from typing import Any

import pytest
from registry_operator.names import ROUTES_ROLE

from tests.operator.apiserver import Object
from tests.operator.installed import crds
from tests.operator.operator_process import Cluster, Operator, wait

pytestmark = pytest.mark.cluster
NOW = "2026-11-21T12:00:00Z"
GATEWAY = {"parentRefs": [{"name": "edge", "namespace": "gateways", "sectionName": "https"}]}


def said(cluster: Cluster, namespace: str, condition: str = "Exposed") -> Object:
    return cluster.condition("Registry", namespace, "harbour", condition)


def until(cluster: Cluster, namespace: str, reason: str, condition: str = "Exposed") -> str:
    """The message that comes with the reason."""
    found = wait(
        lambda: (one := said(cluster, namespace, condition)).get("reason") == reason and one,
        60,
        f"not {reason}: {said(cluster, namespace, condition)}",
    )
    return str(found["message"])


def report(cluster: Cluster, kind: str, namespace: str, status: Object) -> None:
    """As the controller of this kind writes it."""
    made = wait(lambda: cluster.get(kind, namespace, "harbour"))
    path = cluster.path(kind, namespace, "harbour")
    cluster.server.ask("PUT", f"{path}/status", {**made, "status": status})


def condition(kind: str, status: str, reason: str = "Said", message: str = "") -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": NOW,
        "observedGeneration": 1,
    }


def answered(field: str, ref: Object, *conditions: Object) -> Object:
    name = {"parents": "parentRef", "ancestors": "ancestorRef"}[field]
    return {field: [{name: ref, "controllerName": "example.test/gateway", "conditions": list(conditions)}]}


def test_a_gateway_is_led_to_the_replicas_over_tls(cluster: Cluster, operator: Operator) -> None:
    """Without Gateway API, or consent, the condition has the remedy; then it says what the Gateway says."""
    cluster.namespace("gateway")
    cluster.secret("gateway", "s3", accessKeyID="id", secretAccessKey="key")
    route: dict[str, Any] = {"gateway": {**GATEWAY, "kind": "HTTPRoute"}}
    cluster.registry("gateway", exposure=route)
    assert "install the CRDs" in until(cluster, "gateway", "GatewayApiNotInstalled")
    crds(operator.server, "gateway-api")
    assert f"rolebinding {ROUTES_ROLE} --namespace gateway" in until(cluster, "gateway", "NotPermitted")
    cluster.consent("gateway", ROUTES_ROLE)
    until(cluster, "gateway", "RoutePending")
    made = wait(lambda: cluster.get("HTTPRoute", "gateway", "harbour"))
    policy = wait(lambda: cluster.get("BackendTLSPolicy", "gateway", "harbour"))
    assert made["spec"]["hostnames"] == ["harbour.example.com"]
    (target,) = made["spec"]["rules"][0]["backendRefs"]
    assert (target["name"], target["port"]) == ("harbour", 443)
    validation = policy["spec"]["validation"]
    assert validation["hostname"] == "harbour.example.com"
    assert validation["caCertificateRefs"][0]["name"] == "harbour-ca-bundle"

    parent = GATEWAY["parentRefs"][0]
    refused = condition("Accepted", "False", "NotAllowedByListeners", "no listener takes the name")
    report(cluster, "HTTPRoute", "gateway", answered("parents", parent, refused))
    assert "no listener takes the name" in until(cluster, "gateway", "RouteRefused")
    until(cluster, "gateway", "RouteRefused", "Ready")
    well = [condition("Accepted", "True"), condition("ResolvedRefs", "True")]
    report(cluster, "HTTPRoute", "gateway", answered("parents", parent, *well))
    until(cluster, "gateway", "BackendPolicyPending")
    report(
        cluster, "BackendTLSPolicy", "gateway", answered("ancestors", parent, condition("Accepted", "True"))
    )
    until(cluster, "gateway", "RouteAccepted")
    assert said(cluster, "gateway")["status"] == "True"

    route["gateway"]["kind"] = "TLSRoute"
    cluster.registry("gateway", exposure=route)
    wait(lambda: cluster.get("TLSRoute", "gateway", "harbour"))
    for gone in ("HTTPRoute", "BackendTLSPolicy"):
        wait(lambda kind=gone: cluster.get(kind, "gateway", "harbour") is None)  # type: ignore[misc]
    report(cluster, "TLSRoute", "gateway", answered("parents", parent, *well))
    until(cluster, "gateway", "RouteAccepted")
    cluster.registry("gateway", exposure={})
    wait(lambda: cluster.get("TLSRoute", "gateway", "harbour") is None)


def test_a_consent_that_is_withdrawn_stops_nothing_else(cluster: Cluster, operator: Operator) -> None:
    """What may be neither written nor deleted stays, and is said with its command; all the rest goes on."""
    crds(operator.server, "gateway-api")
    namespace = cluster.namespace("withdrawn")
    cluster.consent(namespace, ROUTES_ROLE)
    cluster.secret(namespace, "s3", accessKeyID="id", secretAccessKey="key")

    def declare(replicas: int, exposure: Object) -> None:
        cluster.registry(namespace, replicas=replicas, exposure=exposure)

    def replicas() -> int:
        return int(
            (cluster.get("Deployment", namespace, "harbour") or {"spec": {"replicas": 0}})["spec"]["replicas"]
        )

    declare(3, {"gateway": {**GATEWAY, "kind": "HTTPRoute"}})
    kinds = ("HTTPRoute", "BackendTLSPolicy")
    before = [wait(lambda kind=kind: cluster.get(kind, namespace, "harbour")) for kind in kinds]  # type: ignore[misc]
    cluster.withdraw(namespace, ROUTES_ROLE)
    command = f"kubectl create rolebinding {ROUTES_ROLE} --namespace {namespace}"
    for count, exposure, words in (
        (
            4,
            {"gateway": {**GATEWAY, "kind": "TLSRoute"}},
            ("write TLSRoute", "delete BackendTLSPolicy, HTTPRoute"),
        ),
        (5, {}, ("delete BackendTLSPolicy, HTTPRoute",)),
    ):
        declare(count, exposure)
        message = until(cluster, namespace, "NotPermitted")
        assert all(word in message for word in (*words, command)), message
        until(cluster, namespace, "NotPermitted", "Ready")
        wait(lambda count=count: replicas() == count)  # type: ignore[misc]
        assert said(cluster, namespace, "TLSReady")["status"] == "True"
    assert [cluster.get(kind, namespace, "harbour") for kind in kinds] == before

    cluster.consent(namespace, ROUTES_ROLE)
    wait(lambda: not any(cluster.get(kind, namespace, "harbour") for kind in kinds))
    wait(lambda: said(cluster, namespace) == {})


def test_an_ingress_leads_to_the_public_domain(cluster: Cluster) -> None:
    """With every host of it and the served certificate, and never the private one; its address is awaited."""
    cluster.namespace("ingress")
    annotations = {"nginx.ingress.kubernetes.io/proxy-body-size": "0"}
    ingress = {"className": "nginx", "annotations": annotations}
    cluster.registry("ingress", exposure={"ingress": ingress, "hosts": ["also.example.com"]})
    until(cluster, "ingress", "AddressPending")
    made = wait(lambda: cluster.get("Ingress", "ingress", "harbour"))
    assert annotations.items() <= made["metadata"]["annotations"].items()
    hosts = ["harbour.example.com", "also.example.com"]
    assert made["spec"]["ingressClassName"] == "nginx"
    assert made["spec"]["tls"] == [{"hosts": hosts, "secretName": "harbour-tls"}]
    assert [rule["host"] for rule in made["spec"]["rules"]] == hosts
    report(cluster, "Ingress", "ingress", {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}})
    assert "192.0.2.7" in until(cluster, "ingress", "AddressAssigned")

    cluster.registry("ingress", exposure={"ingress": {"className": "nginx", "tls": "Passthrough"}})
    wait(lambda: "tls" not in (cluster.get("Ingress", "ingress", "harbour") or {"spec": {"tls": 1}})["spec"])
    cluster.registry("ingress", exposure={})
    wait(lambda: cluster.get("Ingress", "ingress", "harbour") is None)
    wait(lambda: said(cluster, "ingress") == {})


def test_routes_of_somebody_else_are_not_taken_over(cluster: Cluster, operator: Operator) -> None:
    """An Ingress, a route, a policy of the same name stay as they are, and the Registry says so."""
    crds(operator.server, "gateway-api")
    namespace = cluster.namespace("taken")
    cluster.consent(namespace, ROUTES_ROLE)
    target = {"name": "other", "port": 443}
    backend = {"group": "", "kind": "Service", "name": "other"}
    trusting = {"hostname": "other.example.com", "wellKnownCACertificates": "System"}
    theirs: dict[str, Object] = {
        "Ingress": {"defaultBackend": {"service": {"name": "other", "port": {"number": 443}}}},
        "HTTPRoute": {"rules": [{"backendRefs": [target]}]},
        "TLSRoute": {"hostnames": ["other.example.com"], "rules": [{"backendRefs": [target]}]},
        "BackendTLSPolicy": {"targetRefs": [backend], "validation": trusting},
    }
    for kind, spec in theirs.items():
        group = "networking.k8s.io" if kind == "Ingress" else "gateway.networking.k8s.io"
        body = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": "harbour"}, "spec": spec}
        cluster.server.apply(cluster.path(kind, namespace, "harbour"), body, "kubectl")

    def named() -> set[str]:
        said = str(cluster.condition("Registry", namespace, "harbour", "Ready").get("message"))
        return {kind for kind in theirs if f"{kind} {namespace}/harbour" in said}

    for kind in ("HTTPRoute", "TLSRoute"):
        cluster.registry(namespace, exposure={"ingress": {}, "gateway": {**GATEWAY, "kind": kind}})
        wanted = {"Ingress", kind, *(["BackendTLSPolicy"] if kind == "HTTPRoute" else [])}
        wait(lambda wanted=wanted: named() == wanted, 60, f"{named()}")  # type: ignore[misc]
    for kind in theirs:
        assert "other" in str((cluster.get(kind, namespace, "harbour") or {})["spec"])
