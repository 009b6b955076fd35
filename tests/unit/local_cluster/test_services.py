"""Services become rules of the control plane."""

from __future__ import annotations

from typing import Any

from local_cluster.services import script

Object = dict[str, Any]


def service(name: str = "web", **spec: Any) -> Object:
    ports = [{"name": "http", "port": 80}]
    return {
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"clusterIP": "10.96.0.7", "ports": ports, **spec},
    }


def endpoint_slice(*addresses: str, owner: str = "web", **more: Any) -> Object:
    return {
        "metadata": {"namespace": "shop", "labels": {"kubernetes.io/service-name": owner}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        **more,
    }


def rules(services: list[Object], slices: list[Object]) -> list[str]:
    """The lines that rewrite a destination."""
    return [line for line in script(tuple(services), tuple(slices)).splitlines() if "dnat" in line]


def test_a_connection_goes_to_any_ready_endpoint() -> None:
    """Of all slices of the Service, each once, at the port that the slice gives for the Service's name."""
    slices = [endpoint_slice("10.244.1.2", "10.244.2.2"), endpoint_slice("10.244.2.2", "10.244.3.2")]

    assert rules([service()], slices) == [
        (
            "ip daddr 10.96.0.7 tcp dport 80 dnat to numgen random mod 3 map "
            "{ 0 : 10.244.1.2 . 8080, 1 : 10.244.2.2 . 8080, 2 : 10.244.3.2 . 8080 }"
        )
    ]


def test_who_is_not_ready_gets_nothing() -> None:
    """The others share it; a condition that is not there means ready."""
    endpoints = [
        {"addresses": ["10.244.1.2"], "conditions": {"ready": False}},
        {"addresses": ["10.244.2.2"], "conditions": {}},
    ]
    (rule,) = rules([service()], [endpoint_slice(endpoints=endpoints)])

    assert rule.endswith("map { 0 : 10.244.2.2 . 8080 }")


def test_a_service_without_endpoints_is_refused_at_once() -> None:
    """Nothing rewrites it, and what is still for a Service's address afterwards is rejected, not lost."""
    text = script((service(),), (endpoint_slice(), endpoint_slice("10.244.1.2", owner="other")))

    assert "dnat" not in text
    assert "ip daddr 10.96.0.0/16 reject" in text


def test_what_has_no_address_has_no_rule() -> None:
    """A headless Service, an ExternalName, and slices that are not IPv4."""
    slices = [endpoint_slice("10.244.1.2")]

    assert rules([service(clusterIP="None"), service(clusterIP=None)], slices) == []
    assert rules([service()], [endpoint_slice("fd00::1", addressType="IPv6")]) == []


def test_each_port_has_its_own_endpoints() -> None:
    """By the port's name; a Service of one port may leave the name away."""
    ports = [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    udp = endpoint_slice("10.244.1.2", ports=[{"name": "dns", "port": 5353}])
    nameless = endpoint_slice("10.244.1.2", ports=[{"name": "", "port": 9}])

    assert [rule.split()[3:6] for rule in rules([service(ports=ports)], [udp])] == [["udp", "dport", "53"]]
    assert len(rules([service(ports=[{"port": 80}])], [nameless])) == 1
