"""Readers of watches, and the door that they read through, before a server that is scripted by hand."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

from registry_operator.cluster import Cluster, Credentials, Scope
from registry_operator.cluster.resources import SECRETS
from registry_operator.errors import ClusterError

from tests.unit.operator.scripted import eventually
from tests.unit.operator.scripted_http2 import Server

SLOW = 30  # seconds until a test gives up
Counted = list[tuple[str, str, int]]


class Reader:
    """Reads a watch, and remembers what it heard and how it ended."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.heard: list[str] = []  # versions
        self.large = 0  # bytes of values
        self.error: ClusterError | None = None
        self.ended = False
        events = cluster.watch(SECRETS, Scope(namespace), "10", 300)
        self._events = cast("AsyncGenerator[tuple[str, dict[str, Any]]]", events)
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async with aclosing(self._events):
                async for _, found in self._events:
                    self.heard.append(found["metadata"]["resourceVersion"])
                    self.large += len(found.get("data", {}).get("large", ""))
                    del found
                    await self.go_on.wait()
            self.ended = True
        except ClusterError as error:
            self.error = error

    async def hears(self, *versions: str) -> None:
        await eventually(lambda: self.heard == [*versions] or self.error, SLOW)
        assert self.heard == [*versions], self.error

    async def fails(self) -> ClusterError:
        await eventually(lambda: self.error, SLOW)
        assert self.error
        return self.error

    async def ends(self) -> None:
        await eventually(lambda: self.ended, SLOW)

    async def cancel(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class Door:
    """A Cluster, its readers, and what it counted."""

    def __init__(self, server: Server, cluster: Cluster, counted: Counted) -> None:
        self.server = server
        self.cluster = cluster
        self.counted = counted
        self.readers: list[Reader] = []

    async def watch(self, *namespaces: str) -> list[Reader]:
        """Readers of these, one after the other; the server has their requests and said 200."""
        return [await self._watch(namespace) for namespace in namespaces]

    def begin(self, namespace: str) -> Reader:
        """A reader whose request may be anywhere."""
        reader = Reader(self.cluster, namespace)
        self.readers.append(reader)
        return reader

    async def _watch(self, namespace: str) -> Reader:
        before = len(self.server.watches)
        reader = self.begin(namespace)
        (await self.server.asked(before + 1))[before].answer()
        return reader


@asynccontextmanager
async def door(server: Server, credentials: Credentials | None = None) -> AsyncIterator[Door]:
    """No task of it is left behind; that no socket is, pytest sees."""
    counted: Counted = []
    known = credentials or Credentials(server.url, lambda: "Bearer test", str(server.authority.file))
    async with Cluster(known, lambda *request: counted.append(request)) as cluster:
        opened = Door(server, cluster, counted)
        try:
            yield opened
        finally:
            for reader in opened.readers:
                await reader.cancel()
