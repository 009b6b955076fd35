"""Resident memory of the operator with ten Registries, and of an idle replica."""

from __future__ import annotations

import json
import time

from benchmarks.table import Row, median
from quickstart.story import TENANT
from tests.e2e.platform import OPERATOR, REPLICA, Platform, resource

REGISTRIES = 10
SETTLE = 30.0


def idle_memory(stage: Platform) -> list[Row]:
    """As the kubelets report it (`rssBytes`), after everything has been quiet for a while."""
    names = [f"idle-{number}" for number in range(REGISTRIES - 1)]
    for name in names:
        spec = {
            "hostname": f"{name}.roadstead.test",
            "replicas": 1,
            "zones": {"minimum": 1},
            "storage": {"ephemeral": {}},
        }
        stage.kubectl.apply(resource("Registry", name, TENANT, spec))
    for name in names:
        stage.kubectl.until_ready("reg", name, TENANT, 180)
    time.sleep(SETTLE)
    replicas = {pod["metadata"]["name"] for pod in stage.kubectl.list("pod", "-n", TENANT, "-l", REPLICA)}
    found = resident(stage)
    operators = [mib for pod, mib in found.items() if pod.startswith(f"{OPERATOR[0]}-")]
    stage.kubectl("delete", "reg", "-n", TENANT, *names)
    return [
        median(f"operator idle with {REGISTRIES} Registries, resident", "MiB", [max(operators)], 120),
        median("operator that waits for the Lease, resident", "MiB", [min(operators)], 120),
        median("runtime replica on S3 idle, resident", "MiB", [found[name] for name in replicas], 100),
    ]


def resident(stage: Platform) -> dict[str, float]:
    """MiB by pod name. A simulated node has no address, and no memory."""
    found = {}
    for node in stage.kubectl.list("node"):
        if not node["status"].get("addresses"):
            continue
        path = f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary"
        for pod in json.loads(stage.kubectl("get", "--raw", path))["pods"]:
            total = sum(container["memory"].get("rssBytes", 0) for container in pod.get("containers", []))
            found[pod["podRef"]["name"]] = total / 2**20
    return found
