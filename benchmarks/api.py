"""The Kubernetes API, straight: kubectl would be most of a figure of some milliseconds."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable

import aiohttp
import yaml

from tests.e2e.platform import Platform

GROUP = "/apis/roadstead.dev/v1alpha1/namespaces"
POLL = 0.01  # seconds between two looks; a part of every figure


async def until(check: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Looks until it is so. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(POLL)


def kubernetes(stage: Platform) -> aiohttp.ClientSession:
    """As the administrator."""
    config = yaml.safe_load(stage.kubectl.kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(
        cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
    )
    folder = stage.kubectl.kubeconfig.parent
    certificate, key = folder / "bench.crt", folder / "bench.key"
    certificate.write_bytes(base64.b64decode(user["client-certificate-data"]))
    key.touch(mode=0o600)
    key.write_bytes(base64.b64decode(user["client-key-data"]))
    context.load_cert_chain(certificate, key)
    certificate.unlink()
    key.unlink()
    return aiohttp.ClientSession(cluster["server"], connector=aiohttp.TCPConnector(ssl=context))


async def password(api: aiohttp.ClientSession, namespace: str, token: str) -> str:
    """What the Secret of an AccessToken holds. Raises aiohttp.ClientResponseError where there is none."""
    async with api.get(f"/api/v1/namespaces/{namespace}/secrets/{token}") as answer:
        answer.raise_for_status()
        return base64.b64decode((await answer.json())["data"]["password"]).decode()
