"""The cluster's network: a bridge in the control plane's namespace, and one link from it to each node.

The host gets no link, route, sysctl or nftables rule of it, and no packet finds a way out. All pods of a node
are behind its one link, so cutting that is cutting a zone off.

A Service's address never travels: kube-proxy on a node, and services.py on the control plane, put a pod's in
its place. Its route is there because a connect() without one fails before that.
"""

import json
import subprocess
from dataclasses import dataclass
from typing import Any

from local_cluster.errors import CommandFailed, NotRunning
from local_cluster.layout import (
    CONTROL_PLANE_ADDRESS,
    DNS_ADDRESS,
    NETWORK_BITS,
    SERVICE_RANGE,
    Layout,
    Node,
)
from local_cluster.machine import RunningMachine
from local_cluster.waiting import until

BRIDGE = "bridge0"
UPLINK = "eth0"
DISABLED, FORWARDING = "0", "3"  # states of a bridge port, bridge(8)
PLUG_SECONDS = 5.0


def hardware_address(address: str) -> str:
    """Fixed by the IPv4 address, so that no neighbour table is stale after a machine has booted again."""
    return "02:" + ":".join(f"{int(byte):02x}" for byte in (0, *map(int, address.split("."))))


def switch_lines(nodes: tuple[Node, ...]) -> list[str]:
    """`ip -batch` lines for the control plane, to be run once or again."""
    return [
        f"link set {BRIDGE} up",
        f"address replace {CONTROL_PLANE_ADDRESS}/{NETWORK_BITS} dev {BRIDGE}",
        *(f"route replace {node.pod_range} via {node.address}" for node in nodes),
        f"route replace {SERVICE_RANGE} dev {BRIDGE}",
    ]


def node_lines(node: Node, nodes: tuple[Node, ...]) -> list[str]:
    """`ip -batch` lines for a node whose link is there, to be run once or again."""
    others = [other for other in nodes if other != node]
    return [
        f"link set {UPLINK} up",
        f"address replace {node.address}/{NETWORK_BITS} dev {UPLINK}",
        f"address replace {DNS_ADDRESS}/32 dev lo",
        *(f"route replace {other.pod_range} via {other.address}" for other in others),
        f"route replace {SERVICE_RANGE} dev {UPLINK}",
    ]


@dataclass(frozen=True)
class Network:
    """The door to the links. The machines that a call is about must be running. Raises CommandFailed."""

    layout: Layout
    machines: dict[str, RunningMachine]

    @property
    def control_plane(self) -> RunningMachine:
        return self.machines[self.layout.control_plane.name]

    def make_switch(self) -> None:
        """The bridge and its routes, unless they are there."""
        if not self.links(self.control_plane, BRIDGE):
            address = hardware_address(CONTROL_PLANE_ADDRESS)
            self.ip(self.control_plane, [f"link add {BRIDGE} address {address} type bridge"])
        self.ip(self.control_plane, switch_lines(self.layout.nodes))

    def plug(self, node: Node) -> None:
        """Links the node to the bridge, unless it is."""
        if not self.plugged(node):
            until(
                lambda: self.replug(node),
                PLUG_SECONDS,
                lambda: f"the link of {node.name} cannot be made: its former one does not go away",
            )
        self.ip(self.control_plane, [f"link set {node.zone} master {BRIDGE} up"])
        self.ip(self.machines[node.name], node_lines(node, self.layout.nodes))
        until(
            lambda: self.port_state(node, FORWARDING),
            PLUG_SECONDS,
            lambda: f"{node.name}'s link does not come up",
        )

    def replug(self, node: Node) -> bool:
        """The ends of a link outlive a machine that has ended by a moment: away with them first."""
        self.ip(self.machines[node.name], [f"link del {UPLINK}"], force=True)
        self.ip(self.control_plane, [f"link del {node.zone}"], force=True)
        pid, mac = self.machines[node.name].require(), hardware_address(node.address)
        link = f"link add {node.zone} type veth peer name {UPLINK} address {mac} netns {pid}"
        self.ip(self.control_plane, [link], force=True)
        return self.plugged(node)

    def plugged(self, node: Node) -> bool:
        here = self.links(self.control_plane, node.zone)
        there = self.links(self.machines[node.name], UPLINK)
        return bool(here and there) and here[0].get("link_index") == there[0].get("ifindex")

    def cut(self, node: Node) -> None:
        """From now on the link swallows everything, both ways, with the carrier still on, until `heal`."""
        self.set_port(node, DISABLED)

    def heal(self, node: Node) -> None:
        self.set_port(node, FORWARDING)

    def slow(self, node: Node, rate: str, burst: str = "32kb", queue: str = "400ms") -> None:
        """The link carries no more than this (tc(8)), both ways; what waits longer is dropped."""
        shape = ["root", "tbf", "rate", rate, "burst", burst, "latency", queue]
        for machine, device in ((self.control_plane, node.zone), (self.machines[node.name], UPLINK)):
            self.inside(machine, ["tc", "qdisc", "replace", "dev", device, *shape])

    def quick(self, node: Node) -> None:
        for machine, device in ((self.control_plane, node.zone), (self.machines[node.name], UPLINK)):
            self.inside(machine, ["tc", "qdisc", "delete", "dev", device, "root"], check=False)

    def set_port(self, node: Node, state: str) -> None:
        if not self.plugged(node):
            raise NotRunning(f"{node.name} has no link: boot it, or run `up`")
        until(
            lambda: self.port_state(node, state),
            PLUG_SECONDS,
            lambda: f"the link of {node.name} cannot be switched",
        )

    def port_state(self, node: Node, state: str) -> bool:
        """Whether the kernel took it: a port whose carrier is just coming up refuses."""
        argv = ["bridge", "link", "set", "dev", node.zone, "state", state]
        return self.enter(self.control_plane, argv).returncode == 0

    def reachable(self) -> list[Node]:
        """The nodes with a link that is not cut."""
        shown = self.inside(self.control_plane, ["bridge", "-json", "link", "show"])
        ports = {port["ifname"]: port.get("state") for port in json.loads(shown or "[]")}
        return [node for node in self.layout.nodes if ports.get(node.zone) == "forwarding"]

    def links(self, machine: RunningMachine, name: str) -> list[dict[str, Any]]:
        """What `ip -json link show` says of a link; empty if there is none of this name."""
        shown = self.inside(machine, ["ip", "-json", "link", "show", "dev", name], check=False)
        return [link for link in json.loads(shown or "[]") if link]

    def ip(self, machine: RunningMachine, lines: list[str], *, force: bool = False) -> None:
        """Runs `ip` lines in the machine's network namespace; `force` goes on after a line that fails."""
        words = ["ip", *(["-force"] if force else []), "-batch", "-"]
        self.inside(machine, words, stdin="\n".join(lines), check=not force)

    def inside(self, machine: RunningMachine, argv: list[str], *, stdin: str = "", check: bool = True) -> str:
        """Output of a program run in the network namespace alone: the host's process ids mean something."""
        done = self.enter(machine, argv, stdin)
        if check and done.returncode != 0:
            raise CommandFailed(argv, done.returncode, [*stdin.splitlines(), *done.stderr.splitlines()])
        return done.stdout

    def enter(
        self, machine: RunningMachine, argv: list[str], stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["nsenter", "--target", str(machine.require()), "--net", "--", *argv],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
