"""`python -m local_cluster.enforcer CLUSTER`: keeps the rules that Kubernetes leaves to others true.

It runs on the host, watches the API, and writes nftables into network namespaces: NetworkPolicies into each
node's, Services into the control plane's. While the API server is away the rules stay as they are.
"""

import subprocess
import sys
import time

from local_cluster import netpol, services
from local_cluster.cgroups import Cgroups
from local_cluster.daemon import Daemons
from local_cluster.forwards import api_of
from local_cluster.layout import Layout
from local_cluster.machine import RunningMachine
from local_cluster.mirror import Mirror

POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
PODS = "/api/v1/pods"
NAMESPACES = "/api/v1/namespaces"
SERVICES = "/api/v1/services"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
LOOK_SECONDS = 0.5  # how soon a machine that has booted gets its rules
GATHER_SECONDS = 0.02  # events of one cause come close together


def wanted(mirror: Mirror, layout: Layout) -> dict[str, str]:
    """Machine → its rules."""
    seen = netpol.Seen(mirror.all(POLICIES), mirror.all(PODS), mirror.all(NAMESPACES))
    rules = {node.name: netpol.script(seen, node.name) for node in layout.nodes}
    return {**rules, layout.control_plane.name: services.script(mirror.all(SERVICES), mirror.all(SLICES))}


def enforce(mirror: Mirror, layout: Layout, cgroups: Cgroups) -> None:
    """Writes a machine's rules when they have changed, or when the machine has booted since."""
    machines = [RunningMachine(each, cgroups) for each in layout.machines]
    written: dict[str, tuple[int, str]] = {}
    errors: dict[str, str] = {}
    rules: dict[str, str] = {}
    took = 0.0
    while True:
        changed = mirror.changed.wait(LOOK_SECONDS)
        time.sleep(max(GATHER_SECONDS, took) if changed else 0)  # a large cluster's rules need a second
        began = time.monotonic()
        if changed:
            mirror.changed.clear()
            rules = wanted(mirror, layout) if mirror.complete else rules
        for machine in machines:
            name, pid = machine.machine.name, machine.pid()
            if pid is None or name not in rules or written.get(name) == (pid, rules[name]):
                continue
            error = write(pid, rules[name])
            if not error:
                written[name] = (pid, rules[name])
            elif errors.get(name) != error:
                errors[name] = error
                print(f"{name}: {error}\n{rules[name]}", flush=True)
        took = time.monotonic() - began


def write(pid: int, rules: str) -> str:
    """What nft says against the rules; nothing if the kernel took them."""
    argv = ["nsenter", "--target", str(pid), "--net", "--", "nft", "-f", "-"]
    done = subprocess.run(argv, input=rules, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode != 0 else ""


def main() -> None:
    layout, cgroups = Layout(sys.argv[1]), Cgroups.of_host()
    host = Daemons(cgroups, layout.host_cgroup, layout.host_log)
    mirror = Mirror(lambda: api_of(layout, host, "enforcer"), (POLICIES, PODS, NAMESPACES, SERVICES, SLICES))
    mirror.start()
    enforce(mirror, layout, cgroups)


if __name__ == "__main__":
    main()
