"""A steady load of pushes and pulls that remembers every acknowledgement and every failure."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.e2e.client import Client, PullFailed, PushRefused

READERS = 8  # at a time, of all that was acknowledged


@dataclass(frozen=True)
class Failure:
    """When the request began and ended (monotonic seconds), and what went wrong."""

    began: float
    ended: float
    what: str


@dataclass
class Load:
    """Workers that push a new image or pull an acknowledged one, again and again."""

    client: Client
    repository: str
    workers: int = 4
    layer_bytes: int = 64 * 1024
    acknowledged: list[str] = field(default_factory=list)
    pulls: int = 0
    failures: list[Failure] = field(default_factory=list)
    running: bool = True

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
            began = time.monotonic()
            try:
                if self.acknowledged and random.random() < 0.7:
                    await self.client.pull_image(self.repository, random.choice(self.acknowledged))
                    self.pulls += 1
                else:
                    count += 1
                    layer = secrets.token_bytes(self.layer_bytes)
                    tag = f"w{number}-{count}"
                    self.acknowledged.append(await self.client.push_image(self.repository, tag, layer))
            except (aiohttp.ClientError, TimeoutError, OSError, PushRefused, PullFailed) as error:
                self.failures.append(Failure(began, time.monotonic(), f"{type(error).__name__}: {error}"))
            await asyncio.sleep(0.02)

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
        return f"{len(self.acknowledged)} pushes, {self.pulls} pulls, failures {kinds or 'none'}"
