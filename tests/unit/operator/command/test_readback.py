"""Reading back: what is found, on a server that lies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from registry_operator.command.readback import ReadBack, descriptors

OCI = "application/vnd.oci.image.manifest.v1+json"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Shelf:
    """One repository; what lies under a digest is whatever a test puts there."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.referrers: dict[str, list[Any]] = {}
        self.failures = 0
        self.reads: list[str] = []

    def image(self, tag: str, *layers: bytes) -> str:
        """Config and layers, and a manifest of them."""
        config = json.dumps({"tag": tag}).encode()
        for blob in (config, *layers):
            self.blobs[digest(blob)] = blob
        named = [{"digest": digest(one), "size": len(one)} for one in (config, *layers)]
        return self.manifest(tag, {"mediaType": OCI, "config": named[0], "layers": named[1:]})

    def manifest(self, tag: str, document: Any) -> str:
        content = json.dumps(document).encode()
        self.manifests[digest(content)] = content
        if tag:
            self.tags[tag] = digest(content)
        return digest(content)

    async def answer(self, request: web.Request) -> web.Response:
        if self.failures:
            self.failures -= 1
            raise web.HTTPServiceUnavailable
        path = request.path
        last = path.rpartition("/")[2]
        if path == "/v2/_catalog":
            return web.json_response({"repositories": ["pier/app"]})
        if path.endswith("/tags/list"):
            return self._page(request)
        if "/referrers/" in path:
            return web.json_response({"manifests": self.referrers.get(last, [])})
        shelf = self.blobs if "/blobs/" in path else self.manifests
        name = self.tags.get(last, last)
        if name not in shelf:
            raise web.HTTPNotFound
        if request.method == "GET":
            self.reads.append(name)
        return web.Response(body=shelf[name], headers={"Docker-Content-Digest": name})

    def _page(self, request: web.Request) -> web.Response:
        """One tag a page."""
        names = sorted(self.tags)
        at = int(request.query.get("last", "0"))
        more = (
            {"Link": f'</v2/pier/app/tags/list?n=1&last={at + 1}>; rel="next"'} if at + 1 < len(names) else {}
        )
        return web.json_response({"tags": names[at : at + 1]}, headers=more)


@asynccontextmanager
async def reading(shelf: Shelf, **words: Any) -> AsyncIterator[ReadBack]:
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", shelf.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession() as session:
            yield ReadBack(session, f"http://127.0.0.1:{port}", **words)
    finally:
        await runner.cleanup()


async def test_every_digest_is_read_once() -> None:
    """Tags of several pages, an index, shared layers, what refers to an image; nothing is at fault."""
    shelf = Shelf()
    first, second = shelf.image("v1", b"base", b"one"), shelf.image("v2", b"base", b"two")
    manifests = [{"digest": one, "size": len(shelf.manifests[one])} for one in (first, second)]
    shelf.manifest("all", {"manifests": manifests})
    signature = shelf.image("", b"signature")
    shelf.referrers[first] = [{"digest": signature, "size": len(shelf.manifests[signature])}]
    async with reading(shelf) as back:
        await back.run()
    assert back.faults == []
    assert (back.count.tags, back.count.manifests, back.count.blobs) == (3, 4, 7)
    blobs = [one for one in shelf.reads if one in shelf.blobs]
    assert sorted(blobs) == sorted(set(blobs))


async def test_what_is_wrong_is_named_and_the_rest_is_read() -> None:
    """Other bytes, fewer bytes, none, another size than the manifest says, and a manifest that is no JSON."""
    shelf = Shelf()
    shelf.image("v1", b"turned", b"cut short", b"gone", b"fine")
    shelf.blobs[digest(b"turned")] = b"Turned"
    shelf.blobs[digest(b"cut short")] = b"cut"
    del shelf.blobs[digest(b"gone")]
    shelf.manifest(
        "v2", {"layers": [{"digest": digest(b"fine"), "size": 5}, {"digest": "sha1:x", "size": 1}]}
    )
    shelf.manifests[digest(b"no json")] = b"no json"
    shelf.tags["v3"] = digest(b"no json")
    shelf.tags["v4"] = digest(b"never pushed")
    async with reading(shelf) as back:
        await back.run()
    found = {one.digest: one.what.partition(" (")[0] for one in back.faults}
    assert found.pop("v4").startswith("tag: 404")
    assert found.pop("sha1:x") == "is no digest"
    assert found == {
        digest(b"turned"): f"what is read has the digest {digest(b'Turned').partition(':')[2]}",
        digest(b"cut short"): f"what is read has the digest {digest(b'cut').partition(':')[2]}",
        digest(b"gone"): "blob: 404",
        digest(b"no json"): "manifest: cannot be read",
    }


async def test_a_server_that_fails_is_asked_again() -> None:
    """A replica that goes is no fault of the content."""
    shelf = Shelf()
    shelf.image("v1", b"layer")
    shelf.failures = 2
    async with reading(shelf) as back:
        await back.run()
    assert (back.faults, back.count.blobs) == ([], 2)


async def test_a_later_run_goes_on_where_an_earlier_one_was() -> None:
    """What was read is only looked for, and a blob that is gone since then is found all the same."""
    shelf, noted = Shelf(), list[str]()
    shelf.image("v1", b"one", b"two")
    async with reading(shelf, note=noted.append) as back:
        await back.run()
    shelf.reads.clear()
    del shelf.blobs[digest(b"two")]
    async with reading(shelf, done=frozenset(noted)) as back:
        await back.run()
    assert not [one for one in shelf.reads if one in shelf.blobs]
    assert [one.digest for one in back.faults] == [digest(b"two")]


def test_layers_that_lie_elsewhere_are_not_the_registrys() -> None:
    """A foreign layer has URLs."""
    foreign = {"digest": "sha256:a", "size": 1, "urls": ["https://elsewhere"]}
    assert list(descriptors({"layers": [foreign]})) == []
