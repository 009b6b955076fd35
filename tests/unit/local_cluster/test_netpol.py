"""NetworkPolicies become rules: who is isolated, and who may still."""

from __future__ import annotations

import re
from typing import Any

import pytest

from local_cluster.netpol import Seen, script, selects

NODE, ELSEWHERE = "one-zone-a", "one-zone-b"
Object = dict[str, Any]


def pod(name: str, address: str, node: str = NODE, namespace: str = "shop", **labels: str) -> Object:
    ports = [{"name": "http", "containerPort": 8080}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": node, "containers": [{"ports": ports}]},
        "status": {"phase": "Running", "podIP": address},
    }


def policy(namespace: str = "shop", **spec: Any) -> Object:
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": {"podSelector": {}, **spec}}


SERVER = pod("server", "10.244.1.2", app="server")
CLIENT = pod("client", "10.244.2.2", ELSEWHERE, role="client")
STRANGER = pod("stranger", "10.244.2.3", ELSEWHERE)
FOREIGNER = pod("foreigner", "10.244.2.4", ELSEWHERE, "bank", role="client")
NAMESPACES = (
    {"metadata": {"name": "shop", "labels": {}}},
    {"metadata": {"name": "bank", "labels": {"trusted": "yes"}}},
)


def rules(
    policies: list[Object], pods: tuple[Object, ...] = (SERVER, CLIENT, STRANGER, FOREIGNER)
) -> dict[str, list[str]]:
    """Chain → its lines, as the script for NODE has them."""
    text = script(Seen(tuple(policies), pods, NAMESPACES), NODE)
    return {
        name: body.strip().splitlines()
        for name, body in re.findall(r"chain (\S+) \{\n(.*?)\n\}", text, re.DOTALL)
    }


def ingress(*policies: Object) -> list[str]:
    """What the server's chain says."""
    return rules(list(policies))["ingress-10.244.1.2"]


def test_without_a_policy_everything_passes() -> None:
    """There is a chain that accepts, and no pod's."""
    assert list(rules([])) == ["forward"]


def test_a_selected_pod_is_isolated_and_others_are_not() -> None:
    """A policy without rules denies all that comes in; answers to what it asked itself still come."""
    chains = rules([policy()])

    assert chains["ingress-10.244.1.2"] == ["drop"]
    assert "egress-10.244.1.2" not in chains
    assert "ct state established,related accept" in chains["forward"]
    assert "ip daddr vmap { 10.244.1.2 : jump ingress-10.244.1.2 }" in chains["forward"]


def test_pods_of_other_nodes_are_left_to_those() -> None:
    """Each node's rules speak of its own pods alone."""
    assert not [name for name in rules([policy()]) if "10.244.2" in name]


def test_another_namespaces_policy_means_nothing() -> None:
    """It selects pods of its own namespace."""
    assert list(rules([policy("bank")])) == ["forward"]


def test_a_policy_of_egress_alone_leaves_ingress_open() -> None:
    """policyTypes decide, not which rules there are."""
    chains = rules([policy(policyTypes=["Egress"], ingress=[{}])])

    assert set(chains) == {"egress-10.244.1.2", "forward"}


def test_a_peer_by_label_is_of_the_same_namespace() -> None:
    """The foreigner bears the label too."""
    peer = {"podSelector": {"matchLabels": {"role": "client"}}}

    assert ingress(policy(ingress=[{"from": [peer]}])) == ["ip saddr { 10.244.2.2 } return", "drop"]


def test_a_peer_by_namespace_is_of_every_pod_there() -> None:
    """Unless a label of pods is asked for as well: then both must hold."""
    namespaces = {"namespaceSelector": {"matchLabels": {"trusted": "yes"}}}
    both = {**namespaces, "podSelector": {"matchLabels": {"role": "boss"}}}

    assert ingress(policy(ingress=[{"from": [namespaces]}])) == ["ip saddr { 10.244.2.4 } return", "drop"]
    assert ingress(policy(ingress=[{"from": [both]}])) == ["drop"], "nobody is meant: that is not everybody"


def test_an_empty_namespace_selector_means_all_pods() -> None:
    """Of every namespace, but no address outside."""
    rule = ingress(policy(ingress=[{"from": [{"namespaceSelector": {}}]}]))[0]

    assert rule == "ip saddr { 10.244.1.2, 10.244.2.2, 10.244.2.3, 10.244.2.4 } return"


def test_an_address_block_has_holes() -> None:
    """What `except` lists is not allowed by this peer."""
    block = {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.244.0.0/16", "10.1.0.0/16"]}}

    assert ingress(policy(ingress=[{"from": [block]}]))[0] == (
        "ip saddr 10.0.0.0/8 ip saddr != { 10.244.0.0/16, 10.1.0.0/16 } return"
    )


def test_an_address_block_of_ipv6_is_nobody_here() -> None:
    """nft would refuse the whole script for it."""
    blocks = [{"ipBlock": {"cidr": "fc00::/7"}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}]

    assert ingress(policy(ingress=[{"from": blocks}])) == ["ip saddr 10.0.0.0/8 return", "drop"]
    assert ingress(policy(ingress=[{"from": blocks[:1]}])) == ["drop"]


def test_a_rule_without_peers_is_for_everyone() -> None:
    """And one without ports for all of them."""
    assert ingress(policy(ingress=[{}])) == ["return", "drop"]


def test_a_port_limits_what_a_peer_may() -> None:
    """By number, by range, by protocol alone, each for every peer."""
    ports = [{"port": 80}, {"port": 90, "endPort": 95}, {"protocol": "UDP"}]

    assert ingress(policy(ingress=[{"ports": ports}])) == [
        "tcp dport 80 return",
        "tcp dport 90-95 return",
        "meta l4proto udp return",
        "drop",
    ]


def test_a_named_port_is_one_of_who_is_reached() -> None:
    """Of the pod itself on the way in, of each peer on the way out; its protocol must be the same."""
    named = [{"port": "http"}, {"port": "dns"}]
    out = rules([policy(policyTypes=["Egress"], egress=[{"to": [{"podSelector": {}}], "ports": named}])])

    assert ingress(policy(ingress=[{"ports": named}])) == ["tcp dport 8080 return", "drop"]
    assert out["egress-10.244.1.2"] == [
        f"ip daddr {address} tcp dport 8080 return" for address in ("10.244.1.2", "10.244.2.2", "10.244.2.3")
    ] + ["drop"]


def test_policies_add_up() -> None:
    """What one of them allows is allowed."""
    one, two = (policy(ingress=[{"ports": [{"port": port}]}]) for port in (1, 2))

    assert ingress(one, two) == ["tcp dport 1 return", "tcp dport 2 return", "drop"]


def test_being_let_out_is_not_being_let_in() -> None:
    """A rule's verdict is `return`: the other direction is judged after it."""
    chains = rules([policy(policyTypes=["Ingress", "Egress"], egress=[{}])])

    assert chains["egress-10.244.1.2"] == ["return", "drop"]
    sides = [line.split()[1] for line in chains["forward"] if line.startswith("ip ")]
    assert sides == ["saddr", "daddr"]


@pytest.mark.parametrize(
    "change",
    [
        {"status": {"phase": "Succeeded", "podIP": "10.244.1.2"}},
        {"status": {"phase": "Pending"}},
        {"spec": {"hostNetwork": True, "nodeName": NODE}},
    ],
)
def test_a_pod_without_an_address_of_its_own_has_no_rules(change: Object) -> None:
    """Ended (another pod may have its address by now), not yet started, or on the node's network."""
    assert list(rules([policy()], ({**SERVER, **change},))) == ["forward"]


@pytest.mark.parametrize(
    ("operator", "values", "holds"),
    [
        ("In", ["a", "b"], True),
        ("In", ["b"], False),
        ("NotIn", ["b"], True),
        ("NotIn", ["a"], False),
        ("Exists", None, True),
        ("DoesNotExist", None, False),
    ],
)
def test_label_expressions(operator: str, values: list[str] | None, holds: bool) -> None:
    """Each operator on a label that is there; NotIn and DoesNotExist also hold for one that is not."""
    expression = {"key": "app", "operator": operator, "values": values}

    assert selects({"matchExpressions": [expression]}, {"app": "a"}) is holds
    assert selects({"matchExpressions": [expression]}, {}) is (operator in {"NotIn", "DoesNotExist"})
