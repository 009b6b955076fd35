"""Names, paths and addresses of a cluster: values only, nothing here touches the machine.

    /var/lib/roadstead/<cluster>/          state: kept over crashes, removed by `down`
        pki/                               every key and certificate; appears whole or not at all
        admin.kubeconfig                   for people and tests, through the relay on the host's loopback
        <machine>/etc/                     the machine's whole /etc
        <machine>/lib/                     its /var/lib: etcd, or kubelet, containerd and cni
        <machine>/log/                     its /var/log, with one file for each daemon
        host/log/                          logs of what runs on the host: relays, the policy enforcer
    cgroup /roadstead/<cluster>/<machine>/<daemon>   one leaf for each daemon: what runs is what is in it

    10.89.0.1       the control plane, and the bridge that the nodes' links end in
    10.89.0.11 …    nodes            10.244.1.0/24 … their pods
    10.96.0.0/16    Services         169.254.20.10   DNS, on every node

All these addresses exist in network namespaces of the cluster only, so clusters side by side can share them.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from local_cluster.errors import BadRequest

STATE = Path("/var/lib/roadstead")
CGROUP = "/roadstead"
CONTROL_PLANE = "control-plane"
HOST = "host"
ZONES = ("zone-a", "zone-b", "zone-c")
CONTROL_PLANE_ADDRESS = "10.89.0.1"
API_PORT = 6443
API_SERVICE_ADDRESS = "10.96.0.1"
NETWORK_BITS = 24
POD_RANGE = "10.244.0.0/16"
SERVICE_RANGE = "10.96.0.0/16"
DNS_ADDRESS = "169.254.20.10"
DNS_DOMAIN = "cluster.local"
NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")


@dataclass(frozen=True)
class Machine:
    """One machine: a set of namespaces with directories of its own. `name` is its host name."""

    name: str
    home: Path
    cgroup: str
    address: str

    @property
    def etc(self) -> Path:
        return self.home / "etc"

    @property
    def lib(self) -> Path:
        return self.home / "lib"

    @property
    def log(self) -> Path:
        return self.home / "log"


@dataclass(frozen=True)
class Node(Machine):
    """A machine that runs pods. `name` is also the name of its Node object."""

    zone: str
    pod_range: str


@dataclass(frozen=True)
class Layout:
    """Where everything of the cluster `name` is. Raises BadRequest for an unusable name."""

    name: str
    root: Path = STATE

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise BadRequest(
                f"--name {self.name!r}: use 1 to 30 of a-z, 0-9 and '-', beginning with a letter"
            )

    @property
    def state(self) -> Path:
        return self.root / self.name

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "admin.kubeconfig"

    @property
    def cgroup(self) -> str:
        """Below a parent of our own: killing it can never hit a group that something else has made."""
        return f"{CGROUP}/{self.name}"

    @property
    def host_cgroup(self) -> str:
        return f"{self.cgroup}/{HOST}"

    @property
    def host_log(self) -> Path:
        return self.state / HOST / "log"

    @cached_property
    def control_plane(self) -> Machine:
        return Machine(
            name=f"{self.name}-{CONTROL_PLANE}",
            home=self.state / CONTROL_PLANE,
            cgroup=f"{self.cgroup}/{CONTROL_PLANE}",
            address=CONTROL_PLANE_ADDRESS,
        )

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(
            Node(
                name=f"{self.name}-{zone}",
                home=self.state / zone,
                cgroup=f"{self.cgroup}/{zone}",
                address=f"10.89.0.{10 + number}",
                zone=zone,
                pod_range=f"10.244.{number}.0/24",
            )
            for number, zone in enumerate(ZONES, start=1)
        )

    @property
    def machines(self) -> tuple[Machine, ...]:
        return (self.control_plane, *self.nodes)

    def node(self, zone_or_name: str) -> Node:
        """The node of a zone (`zone-a`), or of a name (`roadstead-zone-a`). Raises BadRequest."""
        for node in self.nodes:
            if zone_or_name in {node.zone, node.name}:
                return node
        names = ", ".join((*ZONES, *(node.name for node in self.nodes)))
        raise BadRequest(f"{zone_or_name!r} is no zone or node of cluster {self.name}; there are {names}")

    def machine(self, name: str) -> Machine:
        """A node as `node` finds it, or the control plane. Raises BadRequest."""
        if name in {CONTROL_PLANE, self.control_plane.name}:
            return self.control_plane
        return self.node(name)
