"""How soon a token works on every replica, and how soon it does not."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time

import aiohttp

from benchmarks.api import GROUP, kubernetes, until
from benchmarks.table import Row, p99
from quickstart.story import HOSTNAME, TENANT, TOKEN
from tests.e2e.client import basic
from tests.e2e.platform import Platform

COUNT = 200


async def propagation(stage: Platform, count: int = COUNT, among: str = "") -> list[Row]:
    """One token after another: applied → accepted everywhere, suspended and deleted → refused.

    `among` says beside what, for the table.
    Requests go straight to the Kubernetes API and to each replica; a poll every 10 ms is in the figure.
    """
    clients = stage.replica_clients(stage.kubectl.secret(TOKEN, TENANT)["password"])
    async with kubernetes(stage) as api, aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=stage.ca))
    ) as registry:  # fmt: skip
        addresses = [client.address for client in clients]
        accepted, suspended, refused = [], [], []
        for number in range(count):
            one = _Token(stage, api, registry, addresses, f"bench-{number}")
            accepted.append(await one.create())
            suspended.append(await one.suspend())
            await one.resume()
            refused.append(await one.delete())
    where = f"by all {len(addresses)} replicas{among}"
    return [
        p99(f"AccessToken applied → accepted {where}", "s", accepted, 1),
        p99(f"AccessToken suspended → refused {where}", "s", suspended, 1),
        p99(f"AccessToken deleted → refused {where}", "s", refused, 1),
    ]


class _Token:
    """One AccessToken, and how the replicas take it."""

    def __init__(
        self,
        stage: Platform,
        api: aiohttp.ClientSession,
        registry: aiohttp.ClientSession,
        addresses: list[str],
        name: str,
    ) -> None:
        self.api, self.registry, self.addresses, self.name = api, registry, addresses, name
        self.path = f"{GROUP}/{TENANT}/accesstokens"
        self.object = stage.token(name)
        self.password = ""

    async def create(self) -> float:
        begun = time.monotonic()
        async with self.api.post(self.path, json=self.object) as answer:
            answer.raise_for_status()
        await until(self._issued)
        await until(lambda: self._everywhere(200))
        return time.monotonic() - begun

    async def suspend(self) -> float:
        begun = time.monotonic()
        await self._edit(suspended=True)
        await until(lambda: self._everywhere(401, 429))
        return time.monotonic() - begun

    async def resume(self) -> None:
        await self._edit(suspended=False)
        await until(lambda: self._everywhere(200))

    async def _edit(self, *, suspended: bool) -> None:
        kind = {"Content-Type": "application/merge-patch+json"}
        body = json.dumps({"spec": {"suspended": suspended}})
        async with self.api.patch(f"{self.path}/{self.name}", data=body, headers=kind) as answer:
            answer.raise_for_status()

    async def delete(self) -> float:
        begun = time.monotonic()
        async with self.api.delete(f"{self.path}/{self.name}") as answer:
            answer.raise_for_status()
        await until(lambda: self._everywhere(401, 429))
        return time.monotonic() - begun

    async def _issued(self) -> bool:
        async with self.api.get(f"/api/v1/namespaces/{TENANT}/secrets/{self.name}") as answer:
            if answer.status == 200:
                self.password = base64.b64decode((await answer.json())["data"]["password"]).decode()
            return answer.status == 200

    async def _everywhere(self, *statuses: int) -> bool:
        return set(await asyncio.gather(*map(self._login, self.addresses))) <= set(statuses)

    async def _login(self, address: str) -> int:
        url, headers = f"https://{address}/v2/", {"Host": HOSTNAME, **basic("bench", self.password)}
        async with self.registry.get(url, headers=headers, server_hostname=HOSTNAME) as answer:
            return answer.status
