"""Watches of many namespaces at a real API server: few connections, and none of them is lost for good."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from registry_operator.cluster import Cluster, Credentials, Scope, Stream
from registry_operator.cluster.resources import SECRETS
from registry_operator.errors import ClusterError

from tests.operator.apiserver import ApiServer, etcd, kube_apiserver
from tests.operator.operator_process import free_port
from tests.unit.operator.scripted import eventually

pytestmark = pytest.mark.cluster

MANY = 150  # namespaces; an API server allows a connection 100 streams
PATIENCE = 90  # seconds


class Heard:
    """What all streams heard: the value of each Secret, by its namespace and name."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def listed(self, objects: Mapping[str, str], version: str) -> None:  # noqa: ARG002
        self.values |= objects

    def changed(self, key: str, obj: str) -> None:
        self.values[key] = obj

    def removed(self, key: str, version: str) -> None:  # noqa: ARG002
        self.values.pop(key, None)

    def failed(self, error: ClusterError) -> None:
        """It is tried again: that it comes to that is the test."""


def value(found: dict[str, Any]) -> str:
    told: str = found["data"]["value"]
    return told


def connections(port: int) -> int:
    """Of this process, to this port."""
    ours = set()
    for file in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # such as that of the folder itself
            ours.add(str(file.readlink()))
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and f"socket:[{row[9]}]" in ours for row in rows)


async def put(server: ApiServer, said: str) -> dict[str, str]:
    """A Secret with this value in each namespace: all that there is to hear."""
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "one"}, "data": {"value": said}}
    for number in range(MANY):
        path = f"/api/v1/namespaces/tenant-{number}/secrets/one"
        await asyncio.to_thread(server.apply, path, body)
    return {f"tenant-{number}/one": said for number in range(MANY)}


async def running(server: ApiServer, cluster: Cluster, heard: Heard) -> list[asyncio.Task[None]]:
    """A stream for each namespace. They list nothing: no connection is but for a watch."""
    now = (await asyncio.to_thread(server.ask, "GET", "/api/v1/secrets"))["metadata"]["resourceVersion"]
    tasks = []
    for number in range(MANY):
        stream = Stream(cluster, SECRETS, heard, value, Scope(f"tenant-{number}"))
        stream._version = now
        tasks.append(asyncio.create_task(stream.run()))
    return tasks


async def ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_watches_of_many_namespaces_share_two_connections(tmp_path: Path) -> None:
    """Each hears what changes in its own namespace; an API server that goes and comes back is heard again."""
    port, heard, watching = free_port(), Heard(), 0

    def count(_verb: str, _plural: str, code: int) -> None:
        nonlocal watching
        watching += code == HTTPStatus.OK

    async with AsyncExitStack() as stack:
        store = stack.enter_context(etcd(tmp_path))
        with ExitStack() as first:
            server = await asyncio.to_thread(first.enter_context, kube_apiserver(tmp_path, store, port, 1))
            for number in range(MANY):
                namespace = {"metadata": {"name": f"tenant-{number}"}}
                await asyncio.to_thread(server.ask, "POST", "/api/v1/namespaces", namespace)
            own = connections(port)  # of the test itself
            certificate = str(tmp_path / "certs" / "apiserver.crt")
            known = Credentials(server.url, lambda: f"Bearer {server.token}", certificate)
            cluster = await stack.enter_async_context(Cluster(known, count))
            tasks = await running(server, cluster, heard)
            stack.push_async_callback(ended, tasks)
            await eventually(lambda: watching == MANY, PATIENCE)
            assert connections(port) == own + 2

            said = await put(server, "Zmlyc3Q=")
            await eventually(lambda: heard.values == said, PATIENCE)
            assert connections(port) == own + 2
            await asyncio.to_thread(first.close)

        server = await asyncio.to_thread(stack.enter_context, kube_apiserver(tmp_path, store, port, 1))
        said = await put(server, "c2Vjb25k")
        await eventually(lambda: heard.values == said, PATIENCE)
