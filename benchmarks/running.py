"""`python -m benchmarks.running`: a look at which images run, among 10,000 pods on a real API server."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from registry_operator.cache import Cache
from registry_operator.cluster import Cluster, Credentials
from registry_operator.cluster.resources import PODS
from registry_operator.models import Key
from registry_operator.reconcile.running import Look

from benchmarks.table import Row, median, table
from tests.operator.apiserver import apiserver
from tests.operator.operator_process import kubeconfig_of
from tests.unit.operator import harbour
from tests.unit.operator.scripted import context

ROUNDS = 5
AT_ONCE = 16
VARIABLES = 40  # of a container: a pod is as large as one of an ordinary chart, some 10 KB as stored


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.running", description=__doc__)
    parser.add_argument("--pods", type=int, default=10_000)
    pods = parser.parse_args().pods
    with tempfile.TemporaryDirectory() as folder, apiserver(Path(folder)) as server:
        file = Path(folder) / "kubeconfig"
        certificate = Path(folder) / "certs" / "apiserver.crt"
        file.write_text(json.dumps(kubeconfig_of(server.url, certificate, server.token)))
        rows = asyncio.run(measure(Credentials.find({}, file), pods))
    print(f"\n{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(table(rows))
    return 0 if all(row.met for row in rows) else 1


async def measure(credentials: Credentials, pods: int) -> list[Row]:
    async with Cluster(credentials, lambda *_: None) as cluster:
        turns = asyncio.Semaphore(AT_ONCE)

        async def make(number: int) -> None:
            async with turns:
                await cluster.create(pod(number))

        await asyncio.gather(*(make(number) for number in range(pods)))
        cache = Cache()
        registry = Key("harbour", "harbour")
        cache.see_registry(registry, harbour.registry())
        look = Look(context(cluster, cache))
        before, cpu, wall = peak(), list[float](), list[float]()
        for _ in range(ROUNDS):
            begun = time.perf_counter(), time.process_time()
            await look.look()
            wall.append(time.perf_counter() - begun[0])
            cpu.append(time.process_time() - begun[1])
        assert cache.running[registry].pods == len(range(0, pods, 3))
        print(f"of a round {statistics.median(wall):.1f} s pass", file=sys.stderr)
    return [
        median(f"a look at {pods:,} pods, the operator's CPU", "s", cpu, 5),
        median(f"a look at {pods:,} pods, from the first page to the last", "s", wall, 60),
        Row("memory that it takes at most", "MiB", peak() - before, 20, f"{ROUNDS} rounds"),
    ]


def pod(number: int) -> dict[str, Any]:
    """Each third one is of the Registry."""
    image = f"harbour.test/team/app-{number}:1" if number % 3 == 0 else "elsewhere.test/app:1"
    env = [{"name": f"VARIABLE_{one}", "value": f"value-of-{number}-{one}" * 6} for one in range(VARIABLES)]
    return {
        "apiVersion": PODS.api_version,
        "kind": PODS.kind,
        "metadata": {"name": f"app-{number:06}", "namespace": "default", "labels": {"app": f"app-{number}"}},
        "spec": {"containers": [{"name": "app", "image": image, "env": env}]},
    }


def peak() -> float:
    """MiB that this process was resident with at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
