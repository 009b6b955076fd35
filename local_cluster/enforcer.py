"""`python -m local_cluster.enforcer CLUSTER`: keeps every node's NetworkPolicy rules true.

It runs on the host, watches the API, and writes nftables into the nodes' network namespaces. While the API
server is away the rules stay as they are.
"""

import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local_cluster.api import Api
from local_cluster.cgroups import Cgroups
from local_cluster.daemon import Daemons
from local_cluster.errors import ApiRefused, NotRunning
from local_cluster.forwards import api_of
from local_cluster.layout import Layout
from local_cluster.machine import RunningMachine
from local_cluster.netpol import Seen, script

COLLECTIONS = {
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
}
AGAIN_SECONDS = 0.5  # after a failure; and how soon a node that has booted gets its rules
GATHER_SECONDS = 0.02  # events of one cause come close together


@dataclass
class Mirror:
    """What the API holds, kept up by one thread for each collection; `changed` is set at every change."""

    connect: Callable[[], Api]
    changed: threading.Event = field(default_factory=threading.Event)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)

    def follow(self, collection: str) -> None:
        """Lists and watches, for ever, and begins anew when a watch fails."""
        while True:
            try:
                api = self.connect()
                version = self.list(api, collection)
                for event in api.watch(COLLECTIONS[collection], version):
                    self.take(collection, event)
            except (OSError, ValueError, http.client.HTTPException, ApiRefused, NotRunning) as error:
                print(f"{collection}: {error}", flush=True)
                time.sleep(AGAIN_SECONDS)

    def list(self, api: Api, collection: str) -> str:
        listed = api.get(COLLECTIONS[collection])
        self.objects[collection] = {item["metadata"]["uid"]: item for item in listed["items"]}
        self.changed.set()
        return str(listed["metadata"]["resourceVersion"])

    def take(self, collection: str, event: dict[str, Any]) -> None:
        """A new dictionary each time: the other thread may be reading the former one."""
        if event["type"] == "ERROR":
            raise ApiRefused(event["object"].get("code", 0), event["object"].get("message", ""))
        uid = event["object"]["metadata"]["uid"]
        others = {key: value for key, value in self.objects[collection].items() if key != uid}
        self.objects[collection] = others if event["type"] == "DELETED" else {**others, uid: event["object"]}
        self.changed.set()

    def seen(self) -> Seen | None:
        """None until every collection has been listed once: half a view would allow or deny at random."""
        if any(name not in self.objects for name in COLLECTIONS):
            return None
        return Seen(**{name: tuple(self.objects[name].values()) for name in COLLECTIONS})


def enforce(mirror: Mirror, nodes: dict[str, RunningMachine]) -> None:
    """Writes a node's rules when they have changed, or when the node has booted since."""
    written: dict[str, tuple[int, str]] = {}
    while True:
        mirror.changed.wait(AGAIN_SECONDS)
        mirror.changed.clear()
        time.sleep(GATHER_SECONDS)
        seen = mirror.seen()
        if seen is None:
            continue
        for name, machine in nodes.items():
            pid = machine.pid()
            rules = script(seen, name)
            if pid is not None and written.get(name) != (pid, rules) and write(pid, rules):
                written[name] = (pid, rules)


def write(pid: int, rules: str) -> bool:
    argv = ["nsenter", "--target", str(pid), "--net", "--", "nft", "-f", "-"]
    done = subprocess.run(argv, input=rules, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"nft: {done.stderr}\n{rules}", flush=True)
    return done.returncode == 0


def main() -> None:
    layout, cgroups = Layout(sys.argv[1]), Cgroups.of_host()
    host = Daemons(cgroups, layout.host_cgroup, layout.host_log)
    mirror = Mirror(lambda: api_of(layout, host, "network-policy"))
    for collection in COLLECTIONS:
        threading.Thread(target=mirror.follow, args=(collection,), daemon=True).start()
    enforce(mirror, {node.name: RunningMachine(node, cgroups) for node in layout.nodes})


if __name__ == "__main__":
    main()
