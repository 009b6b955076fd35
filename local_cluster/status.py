"""What is true of a cluster at this moment, asked of the kernel and the API server; nothing is remembered."""

import http.client
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local_cluster import control_plane, forwards, node
from local_cluster.api import Api
from local_cluster.daemon import Daemons
from local_cluster.errors import ApiRefused, NotRunning
from local_cluster.forwards import Forward
from local_cluster.layout import Layout, Node
from local_cluster.machine import RunningMachine
from local_cluster.network import Network

DAEMONS = (*control_plane.DAEMONS, *node.DAEMONS)


@dataclass(frozen=True)
class MachineStatus:
    """`ready` is None while the API server, whose word it is, does not answer."""

    name: str
    running: bool
    linked: bool
    ready: bool | None
    daemons: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    machines: tuple[MachineStatus, ...]
    forwards: tuple[Forward, ...]

    @property
    def ready(self) -> bool:
        return all(machine.ready for machine in self.machines)


def observe(layout: Layout, machines: dict[str, RunningMachine], network: Network, host: Daemons) -> Status:
    linked = reachable(network)
    ready = readiness(layout, host)
    return Status(
        machines=tuple(
            MachineStatus(
                name=each.name,
                running=machines[each.name].pid() is not None,
                linked=not isinstance(each, Node) or each in linked,
                ready=ready.get(each.name),
                daemons=tuple(name for name in DAEMONS if machines[each.name].daemons.running(name)),
            )
            for each in layout.machines
        ),
        forwards=tuple(forwards.running(host)),
    )


def reachable(network: Network) -> list[Node]:
    try:
        return network.reachable()
    except NotRunning:
        return []


def readiness(layout: Layout, host: Daemons) -> dict[str, bool]:
    """Machine → whether it is ready; empty while the API server does not answer."""
    try:
        api = forwards.api_of(layout, host, "admin")
    except NotRunning:
        return {}
    if not api.ready():
        return {}
    nodes = {item["metadata"]["name"]: item for item in api.get("/api/v1/nodes")["items"]}
    ready = {each.name: is_ready(nodes.get(each.name, {})) for each in layout.nodes}
    return {layout.control_plane.name: True, **ready}


def ready_condition(found: dict[str, Any]) -> dict[str, Any]:
    conditions = found.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == "Ready"), {})


def is_ready(found: dict[str, Any]) -> bool:
    return ready_condition(found).get("status") == "True"


def ready_since(api: Api, name: str, started: float) -> bool:
    """Whether the node is Ready by the word of the kubelet started at `started`, not of a former one."""
    try:
        found = api.get(f"/api/v1/nodes/{name}")
    except (OSError, http.client.HTTPException, ApiRefused):
        return False
    said = ready_condition(found).get("lastHeartbeatTime", "1970-01-01T00:00:00Z")
    return is_ready(found) and datetime.fromisoformat(said).timestamp() >= int(started)
