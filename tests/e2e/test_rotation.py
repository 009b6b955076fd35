"""Passwords change while images are pulled with them."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import random
import time
from dataclasses import dataclass, field, replace

import aiohttp
import pytest

from quickstart.story import HOSTNAME, NAMESPACE, TENANT
from tests.e2e.client import Client, PullFailed
from tests.e2e.platform import Platform

pytestmark = pytest.mark.cluster
TOKENS, ROTATIONS, PULLERS = 40, 200, 2
OVERLAP = 3  # seconds that a password is good for after it was replaced
SECONDS = 400  # in which all of it happens also on a machine that has other work
NAMES = [f"turning-{number}" for number in range(TOKENS)]
log = logging.getLogger(__name__)
REPOSITORY = f"{NAMESPACE}/turning"


@dataclass
class Pulls:
    """Each reads all pull secrets anew and pulls the image once with each of them, by a login of its own."""

    platform: Platform
    client: Client
    digest: str
    seen: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in NAMES})
    failures: list[str] = field(default_factory=list)
    count: int = 0
    late: int = 0  # failed with a password that was read longer ago than it is promised to be good for

    @property
    def rotations(self) -> int:
        """Passwords that took another's place."""
        return sum(max(0, len(passwords) - 1) for passwords in self.seen.values())

    async def run(self) -> None:
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
            for _ in range(PULLERS):
                group.create_task(self._go_on())

    async def _go_on(self) -> None:
        while self.rotations < ROTATIONS and not self.failures:
            read = time.monotonic()
            passwords = await asyncio.to_thread(self._read)
            random.shuffle(passwords)
            for half in (passwords[::2], passwords[1::2]):
                await asyncio.gather(*(self._pull(password, read) for password in half))

    def _read(self) -> list[str]:
        secrets = self.platform.kubectl.list("secret", "-n", "turning", "--selector=roadstead.dev/owner-uid")
        configs = [json.loads(base64.b64decode(one["data"][".dockerconfigjson"])) for one in secrets]
        logins = [config["auths"][HOSTNAME] for config in configs]
        for login in logins:
            known = self.seen[login["username"]]
            if login["password"] not in known:
                known.append(login["password"])
        return [login["password"] for login in logins]

    async def _pull(self, password: str, read: float) -> None:
        try:
            await replace(self.client, password=password).pull_image(REPOSITORY, self.digest)
        except (PullFailed, aiohttp.ClientError, TimeoutError, OSError) as failed:
            if time.monotonic() - read > OVERLAP:
                self.late += 1
            else:
                self.failures.append(f"{type(failed).__name__}: {failed}")
        self.count += 1


async def test_no_pull_fails_through_two_hundred_rotations(platform: Platform) -> None:
    """On three zones, with the password that stands in the pull secret; old ones are refused afterwards."""
    kubectl = platform.kubectl
    client = platform.client()
    pulls = Pulls(platform, client, await client.push_image(REPOSITORY, "1", b"turning"))
    with platform.account("turning"):
        rights = [{"repositories": [REPOSITORY], "actions": ["pull"]}]
        rotation = {"every": "3s", "overlap": f"{OVERLAP}s"}
        target = {"namespaces": ["turning"]}
        tokens = [
            platform.token(name, permissions=rights, rotation=rotation, pullSecrets=target) for name in NAMES
        ]
        try:
            kubectl.apply(*tokens)
            for name in NAMES:
                kubectl.until_ready("at", name, TENANT)
            await pulls.run()
            log.info("%s rotations, %s pulls, %s late", pulls.rotations, pulls.count, pulls.late)
            assert pulls.failures == []
            assert pulls.count - pulls.late >= pulls.rotations >= ROTATIONS
            for name in NAMES[:2]:
                await platform.until_everywhere(pulls.seen[name][0], 401, 429)
        finally:
            kubectl("delete", "at", "-n", TENANT, *NAMES)
