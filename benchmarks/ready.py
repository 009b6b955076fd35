"""`kubectl apply` of a Registry → Ready=True with three replicas in three zones, images present."""

from __future__ import annotations

import time
import uuid

from benchmarks.table import Row, median
from quickstart.kubectl import is_ready
from quickstart.story import REGISTRY, TENANT
from tests.e2e.platform import Platform, resource

ROUNDS = 5


def apply_to_ready(stage: Platform) -> list[Row]:
    """Rounds of a new Registry on the S3 server, each with a prefix of its own, each deleted after it.

    The operator's share is what passes while only it can act: from the apply to the Deployment, and from
    the last replica's readiness to Ready=True.
    """
    whole, share = [], []
    for number in range(ROUNDS):
        total, operator = _round(stage, f"bench-{number}")
        whole.append(total)
        share.append(operator)
    return [
        median("Registry: apply → Ready, 3 replicas in 3 zones", "s", whole, 15),
        median("of it the operator", "s", share, 1),
    ]


def _round(stage: Platform, name: str) -> tuple[float, float]:
    kubectl = stage.kubectl
    sample = kubectl.get("reg", REGISTRY, TENANT)
    assert sample
    s3 = {**sample["spec"]["storage"]["s3"], "prefix": f"{name}-{uuid.uuid4()}/"}
    registry = resource(
        "Registry", name, TENANT, {"hostname": f"{name}.roadstead.test", "storage": {"s3": s3}}
    )
    begun = time.monotonic()
    kubectl.apply(registry)
    applied = time.monotonic()
    kubectl.until("Deployment", lambda: kubectl.get("deployment", name, TENANT) is not None, every=0.02)
    rendered = time.monotonic()
    kubectl.until("replicas", lambda: _available(stage, name) == 3, every=0.02)
    available = time.monotonic()
    kubectl.until("Ready", lambda: is_ready(kubectl.get("reg", name, TENANT)), every=0.02)
    ready = time.monotonic()
    kubectl("delete", "reg", name, "-n", TENANT)
    kubectl(
        "wait",
        "--for=delete",
        "pod",
        "-n",
        TENANT,
        "-l",
        f"app.kubernetes.io/instance={name}",
        "--timeout=120s",
    )
    return ready - begun, (rendered - applied) + (ready - available)


def _available(stage: Platform, name: str) -> int:
    found = stage.kubectl.get("deployment", name, TENANT) or {}
    count: int = found.get("status", {}).get("availableReplicas", 0)
    return count
