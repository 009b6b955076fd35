"""Every AccessToken of a Registry gets a new password, while clients pull with what the Secrets hold."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
from registry_operator.models.base import format_time

from benchmarks.api import GROUP, password
from benchmarks.table import Row
from tests.e2e.client import Client, PullFailed

ROTATION = {"every": "6m", "overlap": "1m"}
HELD = 20.0  # seconds at most from the moment a password is read until it is used
PULLERS = 32
PATIENCE = 3600.0  # seconds


@dataclass(frozen=True)
class Robot:
    """An AccessToken whose Secret has its name, and an image that it may pull."""

    account: str
    name: str
    repository: str
    digest: str


@dataclass
class Turning:
    """What is asked of the API server and of the registry, and what came of it."""

    api: aiohttp.ClientSession
    client: Client
    robots: list[Robot]
    pulls: int = 0
    failures: list[str] = field(default_factory=list)

    async def rows(self, among: str) -> list[Row]:
        """All tokens turn once, as soon as they may."""
        began = format_time(datetime.now(UTC))
        start = time.monotonic()
        pulling = [asyncio.create_task(self._go_on()) for _ in range(PULLERS)]
        try:
            await self._declare(iter(self.robots))
            print(f"rotation is declared after {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
            async with asyncio.timeout(PATIENCE):
                while (turned := await self._turned(began)) < len(self.robots):
                    print(f"{turned:,} tokens have turned", file=sys.stderr, flush=True)
                    await asyncio.sleep(10)
            took = time.monotonic() - start
            await asyncio.sleep(HELD)
        finally:
            for task in pulling:
                task.cancel()
            await asyncio.gather(*pulling, return_exceptions=True)
        for failure in self.failures[:10]:
            print(failure, file=sys.stderr)
        spread = f"{self.pulls:,} pulls, all had turned after {took:.0f} s"
        return [
            Row(f"pulls that failed while every password changed{among}", "", len(self.failures), 0, spread)
        ]

    async def _declare(self, robots: Iterable[Robot]) -> None:
        async def declare() -> None:
            kind = {"Content-Type": "application/merge-patch+json"}
            for one in robots:
                path = f"{GROUP}/{one.account}/accesstokens/{one.name}"
                async with self.api.patch(
                    path, json={"spec": {"rotation": ROTATION}}, headers=kind
                ) as answer:
                    answer.raise_for_status()

        await asyncio.gather(*(declare() for _ in range(16)))

    async def _turned(self, began: str) -> int:
        """How many passwords are given out since then."""
        found = 0
        for account in {one.account for one in self.robots}:
            async with self.api.get(f"{GROUP}/{account}/accesstokens") as answer:
                tokens: list[dict[str, Any]] = (await answer.json())["items"]
            found += sum(1 for one in tokens if (one["status"].get("rotatedAt") or "") >= began)
        return found

    async def _go_on(self) -> None:
        while True:
            one = random.choice(self.robots)
            try:
                secret = await password(self.api, one.account, one.name)
                await asyncio.sleep(random.uniform(0, HELD))
                await self._pull(one, secret)
            except (PullFailed, aiohttp.ClientError, TimeoutError, OSError) as failed:
                self.failures.append(f"{one.account}/{one.name}: {type(failed).__name__}: {failed}")
            self.pulls += 1

    async def _pull(self, one: Robot, secret: str) -> None:
        async with replace(self.client, user=one.name, password=secret).session() as session:
            await self.client.pull_image(one.repository, one.digest, session)
