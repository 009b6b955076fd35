"""The operator: `python -m registry_operator`, in a pod or, with a kubeconfig, on a workstation."""

import asyncio
import logging
import os
import signal
import socket
import sys
import uuid
from asyncio.sslproto import SSLProtocol
from collections.abc import Mapping
from pathlib import Path

from registry_operator import health
from registry_operator.cluster import Cluster, Credentials
from registry_operator.controller import Controller
from registry_operator.errors import OperatorError
from registry_operator.leader import Leader
from registry_operator.log import configure
from registry_operator.metrics import Metrics
from registry_operator.models import Key
from registry_operator.settings import Settings

# Bytes that asyncio reserves for each TLS connection. Its 256 KiB are for bulk; 150 replicas have an idle one
# each, and so has each of a thousand namespaces where the API server does not speak HTTP/2.
TLS_BUFFER = 4 * 1024
log = logging.getLogger("registry_operator")


def main() -> int:
    """0 after a signal; 1 where it cannot run, or leads no longer."""
    configure(os.environ.get("LOG_LEVEL", "INFO"))
    SSLProtocol.max_size = TLS_BUFFER
    try:
        return asyncio.run(operate(os.environ))
    except OperatorError as error:
        log.error(error.message)  # noqa: TRY400 - the sentence is for people
        return 1


async def operate(environ: Mapping[str, str]) -> int:
    """Serves health and metrics, waits for the Lease, works until a signal or until the Lease is lost."""
    settings, metrics = Settings.read(environ), Metrics()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    kubeconfig = environ.get("KUBECONFIG")
    credentials = Credentials.find(environ, Path(kubeconfig) if kubeconfig else None)
    instance = environ.get("POD_NAME") or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    async with Cluster(credentials, metrics.request) as cluster:
        leader = Leader(cluster, Key(settings.namespace, "roadstead-operator"), instance)
        cluster.may_write = lambda: leader.holds
        metrics.leader.reads_one(lambda: float(leader.holds))
        controller = Controller(cluster, credentials, settings, metrics, instance)
        ports = int(environ.get("LIVENESS_PORT", "8080")), int(environ.get("METRICS_PORT", "8081"))
        async with health.serving(
            ports[0], controller.faults, lambda: missing(leader, controller), ports[1], metrics.text
        ):
            return await lead(leader, controller, stop)


def missing(leader: Leader, controller: Controller) -> list[str]:
    """Why this operator is not ready. One that waits is: it would take over."""
    if leader.waits or (leader.holds and controller.started):
        return []
    return ["the cluster is being read" if leader.holds else "whose the Lease is, is not known"]


async def lead(leader: Leader, controller: Controller, stop: asyncio.Event) -> int:
    """Runs the controller while the Lease is held. Whoever lost it exits: nothing of it may go on."""
    stopping = asyncio.create_task(stop.wait(), name="stop")
    waiting = asyncio.create_task(hold(leader, controller), name="lead")
    await asyncio.wait({stopping, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if waiting.done():
        stopping.cancel()
        return await waiting
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    log.info("stopped")
    return 0


async def hold(leader: Leader, controller: Controller) -> int:
    """1 when the Lease was lost."""
    async with leader.leading() as lost:
        working = asyncio.create_task(controller.run(), name="controller")
        losing = asyncio.create_task(lost.wait(), name="lost")
        try:
            await asyncio.wait({working, losing}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working
        finally:
            for task in (working, losing):
                task.cancel()
            await asyncio.gather(working, losing, return_exceptions=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
