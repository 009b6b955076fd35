"""NetworkPolicy as nftables rules: policies, pods and namespaces in, one script for each node out. Pure.

Semantics of https://kubernetes.io/docs/concepts/services-networking/network-policies/ : a pod that some
policy selects for a direction is isolated in it, and then what any of its policies allows is allowed. Answers
pass. Only forwarded packets are judged: what a node itself says to its own pods (probes), and what a pod says
to its own node (DNS), is never held up. The forward hook comes after kube-proxy's rewriting: addresses are
those of pods.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

TABLE = "inet local-cluster-policy"
ENDED = {"Succeeded", "Failed"}
Object = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """Objects of the API, as JSON."""

    policies: tuple[Object, ...]
    pods: tuple[Object, ...]
    namespaces: tuple[Object, ...]

    @cached_property
    def networked(self) -> list[Object]:
        """The pods with an address of their own."""
        return [pod for pod in self.pods if has_address(pod)]

    @cached_property
    def networked_in(self) -> dict[str, list[Object]]:
        """The same, by namespace."""
        return by_namespace(self.networked)

    @cached_property
    def policies_in(self) -> dict[str, list[Object]]:
        return by_namespace(self.policies)

    def chosen(self, selector: Object) -> list[str]:
        """Names of namespaces."""
        return [each["metadata"]["name"] for each in self.namespaces if selects(selector, labels(each))]


def script(seen: Seen, node: str) -> str:
    """For `nft -f -`: replaces the node's table as one act."""
    chains: list[str] = []
    jumps: dict[str, list[str]] = {"saddr": [], "daddr": []}
    for pod in seen.networked:
        if pod["spec"].get("nodeName") != node:
            continue
        own = seen.policies_in.get(pod["metadata"]["namespace"], [])
        for direction, side in (("Egress", "saddr"), ("Ingress", "daddr")):
            policies = [each for each in own if isolates(each, pod, direction)]
            if policies:
                address = pod["status"]["podIP"]
                chain = f"{direction.lower()}-{address}"
                rules = [rule for policy in policies for rule in allowed(policy, direction, pod, seen)]
                chains.append(block(f"chain {chain}", [*dict.fromkeys(rules), "drop"]))
                jumps[side].append(f"{address} : jump {chain}")
    base = ["type filter hook forward priority filter; policy accept;", "ct state established,related accept"]
    base += [f"ip {side} vmap {{ {', '.join(pods)} }}" for side, pods in jumps.items() if pods]
    table = block(f"table {TABLE}", [*chains, block("chain forward", base)])
    return f"table {TABLE}\ndelete table {TABLE}\n{table}\n"


def has_address(pod: Object) -> bool:
    status = pod.get("status", {})
    ended = status.get("phase") in ENDED
    return bool(status.get("podIP")) and not ended and not pod["spec"].get("hostNetwork")


def by_namespace(things: Iterable[Object]) -> dict[str, list[Object]]:
    found: defaultdict[str, list[Object]] = defaultdict(list)
    for each in things:
        found[each["metadata"]["namespace"]].append(each)
    return found


def block(head: str, lines: Iterable[str]) -> str:
    return "\n".join([f"{head} {{", *lines, "}"])


def isolates(policy: Object, pod: Object, direction: str) -> bool:
    """Whether the policy, of the pod's own namespace, selects the pod, and speaks of the direction."""
    spec = policy["spec"]
    return direction in spec.get("policyTypes", ["Ingress"]) and selects(
        spec.get("podSelector") or {}, labels(pod)
    )


def allowed(policy: Object, direction: str, pod: Object, seen: Seen) -> Iterator[str]:
    """Rules that end in `return`, which leads on to the judgement of the other direction."""
    rules, peers_key = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    side = "saddr" if direction == "Ingress" else "daddr"
    for rule in policy["spec"].get(rules) or []:
        ports = rule.get("ports") or []
        for peer in peers(rule.get(peers_key) or [], policy["metadata"]["namespace"], side, seen):
            if not ports:
                yield joined(peer.match, "return")
            for port in ports:
                # A name means a port of who is reached: this pod, or each of the peers.
                reached = [pod] if direction == "Ingress" else peer.pods
                yield from port_rules(port, peer, side, reached, narrow=direction == "Egress")


@dataclass(frozen=True)
class Peer:
    """Who is on the other side: an nftables match (empty: anyone), and the pods among them."""

    match: str
    pods: tuple[Object, ...]


def peers(given: list[Object], namespace: str, side: str, seen: Seen) -> Iterator[Peer]:
    if not given:
        yield Peer("", tuple(seen.networked))
    for peer in given:
        if ":" in peer.get("ipBlock", {}).get("cidr", ""):
            continue  # nobody here has an IPv6 address
        if "ipBlock" in peer:
            outside = peer["ipBlock"].get("except") or []
            inside = f"ip {side} {peer['ipBlock']['cidr']}"
            match = joined(inside, f"ip {side} != {{ {', '.join(outside)} }}") if outside else inside
            yield Peer(match, ())
        else:
            pods = tuple(pods_of(peer, namespace, seen))
            if pods:
                yield Peer(f"ip {side} {addresses(pods)}", pods)


def pods_of(peer: Object, namespace: str, seen: Seen) -> Iterator[Object]:
    """Both selectors must hold; without one for namespaces, the policy's own is meant."""
    homes = seen.chosen(peer["namespaceSelector"]) if "namespaceSelector" in peer else [namespace]
    for home in homes:
        for pod in seen.networked_in.get(home, []):
            if selects(peer.get("podSelector") or {}, labels(pod)):
                yield pod


def port_rules(
    port: Object, peer: Peer, side: str, reached: Iterable[Object], *, narrow: bool
) -> Iterator[str]:
    protocol = port.get("protocol", "TCP").lower()
    wanted = port.get("port")
    if wanted is None:
        yield joined(peer.match, f"meta l4proto {protocol}", "return")
    elif isinstance(wanted, int):
        end = f"-{port['endPort']}" if port.get("endPort") else ""
        yield joined(peer.match, f"{protocol} dport {wanted}{end}", "return")
    else:
        for pod in reached:
            for number in named_ports(pod, wanted, protocol):
                match = f"ip {side} {pod['status']['podIP']}" if narrow else peer.match
                yield joined(match, f"{protocol} dport {number}", "return")


def named_ports(pod: Object, name: str, protocol: str) -> list[int]:
    containers = [*pod["spec"].get("containers", []), *pod["spec"].get("initContainers", [])]
    return [
        port["containerPort"]
        for container in containers
        for port in container.get("ports") or []
        if port.get("name") == name and port.get("protocol", "TCP").lower() == protocol
    ]


def selects(selector: Object, given: dict[str, str]) -> bool:
    """A label selector; an empty one selects everything."""
    matches = (given.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return all(matches) and all(holds(each, given) for each in selector.get("matchExpressions") or [])


def holds(expression: Object, given: dict[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return given.get(key) in values
        case "NotIn":
            return given.get(key) not in values
        case "Exists":
            return key in given
        case _:
            return key not in given


def labels(thing: Object) -> dict[str, str]:
    return thing["metadata"].get("labels") or {}


def addresses(pods: Iterable[Object]) -> str:
    return "{ " + ", ".join(sorted({pod["status"]["podIP"] for pod in pods})) + " }"


def joined(*words: str) -> str:
    return " ".join(word for word in words if word)
