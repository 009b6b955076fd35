"""The local cluster as a platform: pods, names, Services and policies over three zones."""

from __future__ import annotations

import http.client
import itertools
from functools import partial
from typing import Any

import pytest

from local_cluster.cluster import Cluster
from local_cluster.layout import ZONES
from tests.cluster.pods import PORT, Pods, until

pytestmark = pytest.mark.cluster


def test_pods_run_in_every_zone_and_know_it(pods: Pods) -> None:
    """A preloaded image runs in three zones, restricted as can be; each pod bears its zone's label."""
    pods.cluster.kubectl(
        "label", "namespace", pods.namespace, "pod-security.kubernetes.io/enforce=restricted"
    )

    pods.everywhere("web")

    found = pods.get("pods")["items"]
    labels = {
        pod["metadata"]["name"]: pod["metadata"]["labels"]["topology.kubernetes.io/zone"] for pod in found
    }
    assert labels == {f"web-{zone}": zone for zone in ZONES}


def test_a_service_answers_from_every_zone(pods: Pods) -> None:
    """By its name, from a pod in each zone, every pod of the Service: also the caller itself."""
    pods.everywhere("web")

    for zone in ZONES:
        answers = set(pods.get_from(f"web-{zone}", "http://web", times=40))

        assert answers == {f"web-{each}" for each in ZONES}


def test_a_node_port_answers_on_every_node(pods: Pods) -> None:
    """From a pod in each zone, on the address of each node."""
    pods.everywhere("web")
    port = pods.get("service", "web")["spec"]["ports"][0]["nodePort"]

    for zone, node in itertools.product(ZONES, pods.cluster.layout.nodes):
        (answer,) = pods.get_from(f"web-{zone}", f"http://{node.address}:{port}")

        assert answer.startswith("web-zone-"), f"{zone} → {node.name}: {answer}"


def test_dns_knows_the_cluster_and_the_nodes_hosts_and_nothing_else(pods: Pods) -> None:
    """In each zone: a Service by its short name, a name of /etc/hosts soon after it was set, no others."""
    pods.everywhere("web")
    address = pods.get("service", "web")["spec"]["clusterIP"]
    name = "registry.example.test"

    pods.cluster.write_host_entries({name: address})

    for zone in ZONES:
        pod = f"web-{zone}"
        assert pods.probe(pod, "resolve", "web") == [f"[{address}]"]
        until(f"{name} in {zone}", partial(knows, pods, pod, name, address), 5)
        (unknown,) = pods.probe(pod, "resolve", "example.com")
        assert "no such host" in unknown


def knows(pods: Pods, pod: str, name: str, address: str) -> bool:
    return pods.probe(pod, "resolve", name) == [f"[{address}]"]


def test_a_forward_leads_from_this_machine_to_all_of_a_service(pods: Pods) -> None:
    """The same relay goes on after the control plane was restarted, and balances over all zones."""
    pods.everywhere("web")

    listen = pods.cluster.forward("127.0.0.1:0", f"web.{pods.namespace}:80")

    def answers() -> set[str]:
        found = set()
        for _attempt in range(40):
            connection = http.client.HTTPConnection(listen.host, listen.port, timeout=2)
            connection.request("GET", "/")
            found.add(connection.getresponse().read().decode())
            connection.close()
        return found

    until("the Service's rules", lambda: reachable(listen.host, listen.port), 5)
    assert answers() == {f"web-{zone}" for zone in ZONES}
    pods.cluster.restart_control_plane()
    until("the Service's rules", lambda: reachable(listen.host, listen.port), 10)
    assert answers() == {f"web-{zone}" for zone in ZONES}


def reachable(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def policy(name: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def test_an_ingress_policy_lets_in_whom_it_names_and_no_one_else(pods: Pods) -> None:
    """By label and named port, on the same node and across zones; probes of the kubelet still pass."""
    pods.in_zone("server", "zone-a", app="server")
    for zone in ZONES:
        pods.in_zone(f"friend-{zone}", zone, role="friend")
        pods.in_zone(f"stranger-{zone}", zone)
    pods.service("server")
    pods.wait()
    pods.until_endpoints("server", 1, 10)
    assert pods.get_from("stranger-zone-a", "http://server") == ["server"]

    friends = {"from": [{"podSelector": {"matchLabels": {"role": "friend"}}}], "ports": [{"port": "http"}]}
    pods.apply(policy("friends", podSelector={"matchLabels": {"app": "server"}}, ingress=[friends]))

    until(
        "the policy is in force", lambda: "error" in pods.get_from("stranger-zone-a", "http://server")[0], 5
    )
    for zone in ZONES:
        assert pods.get_from(f"friend-{zone}", "http://server") == ["server"]
        assert "error" in pods.get_from(f"stranger-{zone}", "http://server")[0]
    assert pods.endpoints("server") == 1, "the readiness probe is held up"

    pods.cluster.kubectl("delete", "networkpolicy", "-n", pods.namespace, "friends")
    until("the policy is gone", lambda: pods.get_from("stranger-zone-b", "http://server") == ["server"], 5)


def test_an_egress_policy_shuts_in_and_leaves_dns(pods: Pods) -> None:
    """A pod that may reach one address block reaches that alone, and its own node's DNS."""
    pods.in_zone("inmate", "zone-b", role="inmate")
    pods.in_zone("open", "zone-a", app="open")
    pods.in_zone("closed", "zone-c", app="closed")
    for app in ("open", "closed"):
        pods.service(app)
    pods.wait()
    pods.until_endpoints("open", 1, 10)
    pods.until_endpoints("closed", 1, 10)
    address = pods.get("pod", "open")["status"]["podIP"]

    allowed = {"to": [{"ipBlock": {"cidr": f"{address}/32"}}], "ports": [{"port": PORT}]}
    selector = {"matchLabels": {"role": "inmate"}}
    pods.apply(policy("shut", podSelector=selector, policyTypes=["Egress"], egress=[allowed]))

    until("the policy is in force", lambda: "error" in pods.get_from("inmate", "http://closed")[0], 5)
    assert pods.get_from("inmate", "http://open") == ["open"]
    assert "error" not in pods.probe("inmate", "resolve", "closed")[0]
    assert pods.get_from("closed", "http://open") == ["open"], "others are not shut in"


def test_policies_select_namespaces_by_label(pods: Pods, cluster: Cluster) -> None:
    """What comes from a namespace with a label is let in, from one without it not, whatever the pods."""
    other = Pods(cluster, f"{pods.namespace}-2")
    cluster.kubectl("create", "namespace", other.namespace)
    try:
        pods.in_zone("server", "zone-a", app="server")
        other.in_zone("client", "zone-b")
        pods.wait()
        other.wait()
        url = f"http://{pods.get('pod', 'server')['status']['podIP']}:{PORT}"
        peer = {"namespaceSelector": {"matchExpressions": [{"key": "may", "operator": "Exists"}]}}
        pods.apply(policy("named", podSelector={}, ingress=[{"from": [peer]}]))
        until("the policy is in force", lambda: "error" in other.get_from("client", url)[0], 5)

        cluster.kubectl("label", "namespace", other.namespace, "may=yes")

        until("the label counts", lambda: other.get_from("client", url) == ["server"], 5)
    finally:
        cluster.kubectl("delete", "namespace", other.namespace, "--wait=false")


def test_kubelets_that_run_take_up_a_credential_provider(pods: Pods) -> None:
    """They start anew with it, once, while their pods go on; what is set already changes nothing."""
    pods.everywhere("web")
    registries = [f"registry-{pods.cluster.layout.name}.example.test"]

    pods.cluster.pull_keyless("registry.example.test", registries)
    kubelets = [kubelet(pods.cluster, node.name) for node in pods.cluster.layout.nodes]
    pods.cluster.pull_keyless("registry.example.test", registries)

    assert all("kubelet_credential_provider_config_info{" in metrics for _, metrics in kubelets)
    assert [kubelet(pods.cluster, node.name)[0] for node in pods.cluster.layout.nodes] == [
        process for process, _ in kubelets
    ]
    statuses = [pod["status"]["containerStatuses"][0] for pod in pods.get("pods")["items"]]
    assert [(one["ready"], one["restartCount"]) for one in statuses] == [(True, 0)] * len(ZONES)


def kubelet(cluster: Cluster, node: str) -> tuple[float, str]:
    """When the node's kubelet was started, and its metrics."""
    metrics = cluster.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics")
    return cluster.machine(node).daemons.started("kubelet"), metrics
