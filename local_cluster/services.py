"""Services as nftables rules for the control plane: Services and EndpointSlices in, one script out. Pure.

The nodes have kube-proxy. That wants to be on a Node, which the control plane is not; and going to Services
by way of the nodes would break connections to a live zone when another one is lost. So the control plane, and
with it the relays on the host, has these rules: for each connection a random ready endpoint of any zone.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from local_cluster.layout import SERVICE_RANGE

TABLE = "ip local-cluster-services"
OWNER = "kubernetes.io/service-name"
Object = dict[str, Any]


def script(services: tuple[Object, ...], slices: tuple[Object, ...]) -> str:
    """For `nft -f -`: replaces the table as one act."""
    behind: defaultdict[tuple[str, str], list[Object]] = defaultdict(list)
    for each in slices:
        behind[service_of(each)].append(each)
    rules = [rule for service in services for rule in service_rules(service, behind[identity(service)])]
    lines = [
        f"table {TABLE}",
        f"delete table {TABLE}",
        f"table {TABLE} {{",
        "chain services {",
        "type nat hook output priority -100; policy accept;",
        *sorted(rules),
        "}",
        "chain nobody {",
        "type filter hook output priority filter; policy accept;",
        # What the chain above has not given an endpoint has none.
        f"ip daddr {SERVICE_RANGE} reject",
        "}",
        "}",
    ]
    return "\n".join(lines) + "\n"


def service_rules(service: Object, own: list[Object]) -> Iterator[str]:
    """A rule for each port of a Service that has a ClusterIP, and ready endpoints behind the port."""
    address = service["spec"].get("clusterIP")
    if not address or address == "None":
        return
    for port in service["spec"].get("ports") or []:
        backends = sorted({backend for each in own for backend in backends_of(each, port)})
        if backends:
            protocol = port.get("protocol", "TCP").lower()
            choices = ", ".join(f"{number} : {backend}" for number, backend in enumerate(backends))
            yield (
                f"ip daddr {address} {protocol} dport {port['port']} "
                f"dnat to numgen random mod {len(backends)} map {{ {choices} }}"
            )


def identity(service: Object) -> tuple[str, str]:
    return service["metadata"]["namespace"], service["metadata"]["name"]


def service_of(endpoint_slice: Object) -> tuple[str, str]:
    meta = endpoint_slice["metadata"]
    return meta["namespace"], (meta.get("labels") or {}).get(OWNER, "")


def backends_of(endpoint_slice: Object, service_port: Object) -> Iterator[str]:
    """Address and port of each ready endpoint, where the slice has the Service's port (by its name)."""
    if endpoint_slice.get("addressType") != "IPv4":
        return
    for port in endpoint_slice.get("ports") or []:
        if (port.get("name") or "") == service_port.get("name", ""):
            for endpoint in endpoint_slice.get("endpoints") or []:
                if (endpoint.get("conditions") or {}).get("ready", True):
                    yield f"{endpoint['addresses'][0]} . {port['port']}"
