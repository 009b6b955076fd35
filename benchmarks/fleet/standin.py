"""`python -m benchmarks.fleet.standin PID API`: the state ports of all replicas that have no process.

One listening socket in the network namespace of process PID, which takes every address of the simulated
pods. Which Registry is asked is told by the name in the TLS handshake. Its certificates and its policy are
read by one watch of the Secrets, so a policy that is written is acknowledged as by real replicas.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from socket import SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp

from local_cluster.namespaces import socket_in
from registry_runtime.contract.activity import Activity
from registry_runtime.contract.policy import KEY, Policy
from registry_runtime.contract.state import (
    ReplicaState,
    SelfCheckReason,
    SelfCheckState,
    StorageReason,
    StorageState,
)

PORT = 8445
LABELS = "app.kubernetes.io/managed-by=roadstead"
STARTED = datetime(2026, 11, 21, tzinfo=UTC)
LINE = 8 * 1024 * 1024  # bytes of one event of the watch
SILENT = Activity(epoch="0", cursor="0").model_dump_json().encode()
Object = dict[str, Any]


class Registry:
    """What its replicas would know."""

    def __init__(self) -> None:
        self.context: ssl.SSLContext | None = None
        self.shards: dict[str, Policy] = {}
        self.changed = asyncio.Event()
        self._state: tuple[str, bytes] | None = None

    def see(self, name: str, data: dict[str, str]) -> None:
        if KEY in data:
            self.shards[name] = Policy.decode(base64.b64decode(data[KEY]))
            self._state = None
            self.changed.set()
            self.changed = asyncio.Event()
        elif name.endswith("-internal"):
            self.context = context(data)

    def state(self) -> tuple[str, bytes]:
        """Its version, and the document."""
        if self._state is None:
            revision = Policy.merge(tuple(self.shards.values())).revision if self.shards else None
            state = ReplicaState(
                version=revision or "none",
                replica="stand-in",
                zone="",
                started=STARTED,
                ready=True,
                policy_revision=revision,
                storage=StorageState(reason=StorageReason.READY),
                self_check=SelfCheckState(reason=SelfCheckReason.PASSED),
            )
            self._state = state.version, state.model_dump_json().encode()
        return self._state

    async def newer(self, after: str, wait: float) -> bytes:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while self.state()[0] == after:
                    await self.changed.wait()
        return self.state()[1]


def context(data: dict[str, str]) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(base64.b64decode(data["tls.crt"]) + b"\n" + base64.b64decode(data["tls.key"]))
        file.flush()
        made.load_cert_chain(file.name)
    return made


class Ports:
    """All Registries, by the name in their certificates."""

    def __init__(self) -> None:
        self.registries: dict[str, Registry] = {}

    def see(self, obj: Object) -> None:
        metadata = obj["metadata"]
        name, instance = metadata["name"], metadata["labels"].get("app.kubernetes.io/instance")
        if instance and (KEY in obj.get("data", {}) or name == f"{instance}-internal"):
            server = f"{instance}-internal.{metadata['namespace']}.svc"
            self.registries.setdefault(server, Registry()).see(name, obj["data"])

    def choose(self, tls: ssl.SSLObject, server: str | None, _default: ssl.SSLContext) -> int | None:
        found = self.registries.get(server or "")
        if found is None or found.context is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        tls.context = found.context
        tls.asked = found  # type: ignore[attr-defined]
        return None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
            registry: Registry = writer.get_extra_info("ssl_object").asked
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                body = await self._answer(registry, head.split(" ")[1])
                closes = "connection: close" in head.lower()
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                    + (b"connection: close\r\n" if closes else b"")
                    + f"content-length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
                if closes:
                    break
        writer.close()

    async def _answer(self, registry: Registry, target: str) -> bytes:
        url = urlsplit(target)
        if url.path == "/activity":
            return SILENT
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        return await registry.newer(query.get("after", ""), float(query.get("wait", "0")))


async def secrets(api: str) -> AsyncIterator[Object]:
    """All of Roadstead's, and each change of them. `api` is a proxy that asks no credentials."""
    async with aiohttp.ClientSession(
        api, timeout=aiohttp.ClientTimeout(total=None), read_bufsize=LINE
    ) as session:
        query = {"labelSelector": LABELS}
        async with session.get("/api/v1/secrets", params=query) as answer:
            listed = await answer.json()
        for obj in listed["items"]:
            yield obj
        version = listed["metadata"]["resourceVersion"]
        while True:
            watch = query | {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
            async with session.get("/api/v1/secrets", params=watch) as answer:
                async for line in answer.content:
                    event = json.loads(line)
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] in {"ADDED", "MODIFIED"}:
                        yield event["object"]


async def main(process: int, api: str) -> None:
    ports = Ports()
    socket = socket_in(process, SOCK_STREAM)
    socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    socket.bind(("0.0.0.0", PORT))  # noqa: S104 - in a network namespace of the cluster's own
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.sni_callback = ports.choose
    server = await asyncio.start_server(ports.serve, sock=socket, ssl=tls, backlog=4096)
    async with server:
        async for obj in secrets(api):
            ports.see(obj)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
