"""A steady load of pushes and pulls that remembers every acknowledgement and every failure."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import aiohttp

from tests.e2e.client import Client, PullFailed, PushRefused

READERS = 8  # at a time, of all that was acknowledged
PUSH_REQUESTS, PULL_REQUESTS = 5, 3  # of one image
RETRYING = (1.0, 2.0, 4.0, 8.0)  # seconds between the tries of a client; dockerd waits longer, as often
FAULTS = (aiohttp.ClientError, TimeoutError, OSError, PushRefused, PullFailed)


@dataclass(frozen=True)
class Failure:
    """When the request began and ended (monotonic seconds), and what went wrong."""

    began: float
    ended: float
    what: str


@dataclass
class Load:
    """Workers that push a new image or pull an acknowledged one, again and again.

    A failure is what failed for good: without `patience` at once, with it after so many tries more.
    """

    client: Client
    repository: str
    workers: int = 4
    layer_bytes: int = 64 * 1024
    acknowledged: list[str] = field(default_factory=list)
    pulls: int = 0
    failures: list[Failure] = field(default_factory=list)
    running: bool = True
    patience: tuple[float, ...] = ()  # seconds before each further try
    retried: list[Failure] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # of each image that came through, tries included

    @asynccontextmanager
    async def steady(self) -> AsyncIterator[Load]:
        """The load runs while the block does."""
        tasks = [asyncio.create_task(self._work(number)) for number in range(self.workers)]
        try:
            yield self
        finally:
            self.running = False
            await asyncio.gather(*tasks)

    async def _work(self, number: int) -> None:
        count = 0
        while self.running:
            if self.acknowledged and random.random() < 0.7:
                await self._persist(partial(self._pull, random.choice(self.acknowledged)))
            else:
                count += 1
                layer = secrets.token_bytes(self.layer_bytes)
                await self._persist(partial(self._push, f"w{number}-{count}", layer))
            await asyncio.sleep(0.02)

    async def _persist(self, job: Callable[[], Awaitable[None]]) -> None:
        begun = time.monotonic()
        for rest in (*self.patience, None):
            began = time.monotonic()
            try:
                await job()
            except FAULTS as error:
                failure = Failure(began, time.monotonic(), f"{type(error).__name__}: {error}")
                if rest is None:
                    self.failures.append(failure)
                else:
                    self.retried.append(failure)
                    await asyncio.sleep(rest)
            else:
                self.seconds.append(time.monotonic() - begun)
                return

    async def _pull(self, digest: str) -> None:
        await self.client.pull_image(self.repository, digest)
        self.pulls += 1

    async def _push(self, tag: str, layer: bytes) -> None:
        self.acknowledged.append(await self.client.push_image(self.repository, tag, layer))

    @property
    def requests(self) -> int:
        """Of the images that came through."""
        return PUSH_REQUESTS * len(self.acknowledged) + PULL_REQUESTS * self.pulls

    def failures_begun_after(self, moment: float) -> list[Failure]:
        return [failure for failure in self.failures if failure.began > moment]

    async def lost(self) -> list[str]:
        """Acknowledged digests that cannot be read back, compared byte by byte with their digests."""
        width = asyncio.Semaphore(READERS)

        async def read(session: aiohttp.ClientSession, digest: str) -> str:
            async with width:
                try:
                    await self.client.pull_image(self.repository, digest, session)
                except PullFailed as failed:
                    return f"{digest}: {failed}"
                return ""

        async with self.client.session() as session:
            said = await asyncio.gather(*(read(session, digest) for digest in self.acknowledged))
        return [sentence for sentence in said if sentence]

    def summary(self) -> str:
        kinds: dict[str, int] = {}
        for failure in self.failures:
            kind = failure.what.split(":")[0]
            kinds[kind] = kinds.get(kind, 0) + 1
        tries = f", {len(self.retried)} tried again" if self.patience else ""
        return f"{len(self.acknowledged)} pushes, {self.pulls} pulls{tries}, failures {kinds or 'none'}"
