"""`kubectl roadstead verify` reads real replicas back, and finds what was changed behind them."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import aiohttp
from registry_operator.command.readback import ReadBack

from tests.api.client import CONFIG, LAYER, OCI_IMAGE, OCI_INDEX, Client, basic, descriptor, digest_of
from tests.api.replica import Replica


def image(client: Client, tag: str, *layers: bytes, **more: object) -> str:
    """Its manifest's digest."""
    config = descriptor(CONFIG, client.push_blob(b"{}"), 2)
    made = [descriptor(LAYER, client.push_blob(layer), len(layer)) for layer in layers]
    document = {"schemaVersion": 2, "mediaType": OCI_IMAGE, "config": config, "layers": made, **more}
    content = json.dumps(document).encode()
    assert client.put_manifest(tag or digest_of(content), content).status == 201
    return digest_of(content)


def size_of(client: Client, digest: str) -> int:
    return len(client.send("GET", f"{client.base}/manifests/{digest}").body)


async def read_back(client: Client) -> ReadBack:
    headers = basic(client.password) if client.password else {}
    connector = aiohttp.TCPConnector(ssl=client.tls or False)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        url = f"{'https' if client.tls else 'http'}://{client.host}:{client.port}"
        back = ReadBack(session, url, repositories=client.repository)
        await back.run()
    return back


async def test_all_that_was_pushed_is_read_back(client: Client) -> None:
    """Images, an index of them and a signature: each digest, whatever the driver does with the bytes."""
    shared, large = uuid.uuid4().bytes, uuid.uuid4().bytes * 100_000
    first, second = image(client, "v1", shared, large), image(client, "v2", shared)
    named = [descriptor(OCI_IMAGE, one, size_of(client, one)) for one in (first, second)]
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": named}).encode()
    assert client.put_manifest("all", index, OCI_INDEX).status == 201
    image(client, "", b"signature", subject=named[0])
    back = await read_back(client)
    assert back.faults == []
    assert (back.count.repositories, back.count.tags, back.count.manifests) == (1, 3, 4)
    assert back.count.blobs == 4, "config, shared layer, large layer, signature"


async def test_bytes_that_were_changed_in_the_storage_are_found(replica: Replica, client: Client) -> None:
    """One bit on the disk; where content is encrypted or lies in a bucket, this disk has no such bytes."""
    layer = uuid.uuid4().bytes * 100_000
    image(client, "v1", layer, b"beside it")
    if replica.storage["kind"] != "directory":
        return
    (file,) = [
        one for one in stored(replica) if one.stat().st_size == len(layer) and one.read_bytes() == layer
    ]
    file.write_bytes(bytes([layer[0] ^ 1]) + layer[1:])
    back = await read_back(client)
    assert [(one.digest, one.what.startswith("what is read has the digest")) for one in back.faults] == [
        (digest_of(layer), True)
    ]


def stored(replica: Replica) -> list[Path]:
    return [one for one in Path(replica.storage["path"]).rglob("*") if one.is_file()]
