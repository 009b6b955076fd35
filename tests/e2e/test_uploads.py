"""Uploads that go wrong: the right status, nothing visible, and nothing left in the bucket."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from quickstart.story import NAMESPACE, REGISTRY, TENANT
from registry_runtime.contract.config import Limits
from registry_runtime.repository import Registry
from registry_runtime.storage.base import Storage
from tests.e2e.client import OCI_MANIFEST, Client, basic, digest_of
from tests.e2e.platform import Platform

pytestmark = pytest.mark.cluster
REPOSITORY = f"{NAMESPACE}/broken"
LAYER = secrets.token_bytes(12 * 1024 * 1024)  # more than one part of a multipart upload


@pytest.fixture
async def bucket(platform: Platform, tmp_path: Path) -> AsyncIterator[Storage]:
    """The tenant's bucket, past the registry."""
    async with platform.bucket(tmp_path) as storage:
        yield storage


async def everything(storage: Storage) -> set[str]:
    """All keys, and the multipart uploads that nobody has finished."""
    keys: set[str] = set()
    last = ""
    while True:
        page = await storage.list("", after=last)
        keys |= {entry.key for entry in page.entries}
        if not page.more:
            break
        last = page.entries[-1].key
    return keys | {f"multipart {each.multipart.key}" for each in await storage.unfinished("")}


async def begin(client: Client) -> str:
    answer = await client.ask("POST", f"/v2/{REPOSITORY}/blobs/uploads/")
    assert answer.status == 202
    return answer.headers["location"]


def closing(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


async def test_broken_uploads_leave_nothing(platform: Platform, bucket: Storage) -> None:
    """Cut, wrong, out of order, too large or garbage: each has its answer, none leaves a trace."""
    registry = platform.kubectl.get("reg", REGISTRY, TENANT)
    assert registry
    client = platform.client(timeout=60)
    await collect(bucket, registry["metadata"]["uid"])
    before = await everything(bucket)

    wrong = await client.ask("PUT", closing(await begin(client), digest_of(b"another")), data=LAYER)
    assert (wrong.status, wrong.codes) == (400, ["DIGEST_INVALID"])

    gap = await client.ask("PATCH", await begin(client), data=b"late", headers={"Content-Range": "100-103"})
    assert gap.status == 416
    garbage_range = await client.ask(
        "PATCH", await begin(client), data=b"x", headers={"Content-Range": "bytes ??"}
    )
    assert garbage_range.status in (400, 416)

    await cut(platform, client, await begin(client))

    large = await client.ask(
        "PUT", f"/v2/{REPOSITORY}/manifests/large", data=LAYER, headers={"Content-Type": OCI_MANIFEST}
    )
    assert (large.status, large.codes) == (413, ["MANIFEST_INVALID"])
    for body in (b"{", b"\x00\xff", b'{"schemaVersion": 2, "layers": 7}', b"[" * 10_000):
        garbage = await client.ask(
            "PUT", f"/v2/{REPOSITORY}/manifests/garbage", data=body, headers={"Content-Type": OCI_MANIFEST}
        )
        assert (garbage.status, garbage.codes) == (400, ["MANIFEST_INVALID"])

    assert (await client.ask("GET", f"/v2/{REPOSITORY}/tags/list")).status == 404
    assert (await client.ask("HEAD", f"/v2/{REPOSITORY}/blobs/{digest_of(LAYER)}")).status == 404
    await collect(bucket, registry["metadata"]["uid"])
    assert await everything(bucket) == before


async def cut(platform: Platform, client: Client, location: str) -> None:
    """Says that the whole layer comes, sends a part of it, and hangs up."""
    context = ssl.create_default_context(cadata=platform.ca)
    reader, writer = await asyncio.open_connection(
        client.address, 443, ssl=context, server_hostname=client.host
    )
    authorization = basic(client.user, client.password)["Authorization"]
    head = f"PATCH {location} HTTP/1.1\r\nHost: {client.host}\r\nAuthorization: {authorization}\r\n"
    writer.write(f"{head}Content-Length: {len(LAYER)}\r\n\r\n".encode() + LAYER[: 9 * 1024 * 1024])
    await writer.drain()
    writer.transport.abort()
    assert reader


async def collect(storage: Storage, owner: str) -> None:
    """As the replicas do each hour, a day from now: by then nobody comes back for these sessions."""
    tomorrow = datetime.now(UTC) + timedelta(hours=25)
    await asyncio.sleep(1)  # until the replica has noticed that its client hung up
    await Registry(storage, Limits(), lambda: tomorrow, owner).uploads.stale.run(tomorrow)


async def test_each_chunk_may_meet_another_replica(platform: Platform) -> None:
    """One upload in chunks, each sent to the next replica; then the blob is read from every one of them."""
    password = platform.kubectl.secret("deployer", TENANT)["password"]
    replicas = platform.replica_clients(password)
    assert len(replicas) == 3
    location, step = await begin(replicas[0]), 3_000_000
    for number, start in enumerate(range(0, len(LAYER), step)):
        chunk = LAYER[start : start + step]
        span = {"Content-Range": f"{start}-{start + len(chunk) - 1}"}
        answer = await replicas[number % 3].ask("PATCH", location, data=chunk, headers=span)
        assert answer.status == 202
        location = answer.headers["location"]
    assert (await replicas[1].ask("PUT", closing(location, digest_of(LAYER)))).status == 201
    for replica in replicas:
        answer = await replica.ask("GET", f"/v2/{REPOSITORY}/blobs/{digest_of(LAYER)}")
        assert answer.body == LAYER


async def test_a_client_that_trusts_nobody_is_not_served_in_clear(platform: Platform) -> None:
    """Without the CA there is no connection: the certificate is the registry's own."""
    stranger = replace(platform.client(), ca="")
    with pytest.raises((aiohttp.ClientConnectorCertificateError, ssl.SSLError, ValueError)):
        await stranger.ask("GET", "/v2/")
