"""Simulated nodes: kwok plays their pods, which have addresses that lead to the stand-in's one socket."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from local_cluster.layout import CONTROL_PLANE_ADDRESS, ZONES
from local_cluster.parts import BENCHMARKS, build
from tests.e2e.platform import Platform
from tests.operator.operator_process import free_port

ADDRESSES = "198.18.0.0/15"  # for benchmarks (RFC 2544)
PODS = "5000"  # of one simulated node


@contextmanager
def simulated(stage: Platform) -> Iterator[None]:
    """From here on new pods run on simulated nodes only; those that run go on."""
    wanted = [part for part in BENCHMARKS if part.name == "kwok"]
    kwok = build(stage.cluster.parts.root, print, wanted).binary("kwok")
    _open(stage)
    _rest(stage)
    with ExitStack() as stack:
        port = free_port()
        proxy = [
            stage.kubectl.program,
            "--kubeconfig",
            str(stage.kubectl.kubeconfig),
            "proxy",
            f"--port={port}",
        ]
        stack.enter_context(_running("proxy", *proxy))
        process = stage.cluster.machine("control-plane").pid()
        api = f"http://127.0.0.1:{port}"
        argv = [sys.executable, "-m", "benchmarks.fleet.standin", str(process), api]
        stack.enter_context(_running("standin", *argv))
        stack.enter_context(
            _running(
                "kwok",
                str(kwok),
                f"--kubeconfig={stage.kubectl.kubeconfig}",
                "--manage-all-nodes=false",
                "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
                "--cidr=198.18.0.1/15",
                "--node-lease-duration-seconds=8",
            )
        )
        for node in stage.kubectl.list("node"):
            stage.kubectl("cordon", node["metadata"]["name"])
        stage.kubectl.apply(*(_node(zone) for zone in ZONES))
        yield


@contextmanager
def real(stage: Platform) -> Iterator[None]:
    """In the block new pods run on real nodes only."""
    simulated = [f"simulated-{zone}" for zone in ZONES]
    nodes = [node["metadata"]["name"] for node in stage.kubectl.list("node")]
    others = [name for name in nodes if name not in simulated]
    stage.kubectl("cordon", *simulated)
    stage.kubectl("uncordon", *others)
    try:
        yield
    finally:
        stage.kubectl("cordon", *others)
        stage.kubectl("uncordon", *simulated)


def _open(stage: Platform) -> None:
    """The way to the simulated pods."""
    cluster = stage.cluster
    cluster.exec("control-plane", ["ip", "route", "add", "local", ADDRESSES, "dev", "lo"])
    for zone in ZONES:
        cluster.exec(zone, ["ip", "route", "add", ADDRESSES, "via", CONTROL_PLANE_ADDRESS])


def _rest(stage: Platform) -> None:
    """What pods of the real nodes ask for stays where it is, and so do the rules that lead there.

    To write those of thousands of simulated Services each second takes kube-proxy a quarter of two cores.
    """
    for node in stage.cluster.nodes:
        node.daemons.stop("kube-proxy")


def _node(zone: str) -> dict[str, object]:
    capacity = {"cpu": "2000", "memory": "4000Gi", "pods": PODS, "ephemeral-storage": "9Ti"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": f"simulated-{zone}",
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"topology.kubernetes.io/zone": zone, "kubernetes.io/hostname": f"simulated-{zone}"},
        },
        "status": {"capacity": capacity, "allocatable": capacity},
    }


@contextmanager
def _running(name: str, *argv: str) -> Iterator[subprocess.Popen[bytes]]:
    with Path(f"/tmp/fleet-{name}.log").open("wb") as log:  # noqa: S108 - to look at after a run
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
