"""A scripted API server over real HTTP: for faults of the wire that a real one does not show on demand."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

from aiohttp import web
from registry_operator.cache import Cache
from registry_operator.cluster import Cluster, Credentials
from registry_operator.events import Recorder
from registry_operator.models import Key
from registry_operator.queue import Queue
from registry_operator.reconcile.context import Context

from tests.unit.operator import harbour

Object = dict[str, Any]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class ScriptedApi:
    """Answers each path by its script, one answer after the other; the last one stays."""

    scripts: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)  # method, path, query
    bodies: list[Object] = field(default_factory=list)  # of PATCH
    url: str = ""

    def on(self, path: str, *answers: Answer, watch: bool = False) -> None:
        self.scripts.setdefault(f"{path}?watch" if watch else path, []).extend(answers)

    def count(self, path: str, *, watch: bool = False) -> int:
        return sum(asked == path and ("watch" in query) is watch for _method, asked, query in self.asked)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        self.asked.append((request.method, request.path, query))
        if request.method == "PATCH":
            self.bodies.append(await request.json())
        script = self.scripts.get(f"{request.path}?watch" if "watch" in query else request.path)
        if not script:
            return await status(404, "NotFound")(request)
        return await (script.pop(0) if len(script) > 1 else script[0])(request)


@asynccontextmanager
async def scripted(api: ScriptedApi) -> AsyncIterator[Cluster]:
    """The server, and a door to it."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with Cluster(credentials(api.url), lambda *_: None) as cluster:
            yield cluster
    finally:
        await runner.cleanup()


class Unasked:
    """In the place of the replicas: nobody asks them here. `attended` are the Registries that were to be."""

    def __init__(self) -> None:
        self.attended: list[Key] = []

    def attend(self, registry: Key) -> None:
        self.attended.append(registry)


def context(cluster: Cluster, cache: Cache, **changes: Any) -> Context:
    """What reconciles have in their hands, without what a test is not about."""
    made = Context(
        cluster=cluster,
        cache=cache,
        secrets=cast("Any", None),
        replicas=cast("Any", Unasked()),
        queue=Queue(1, awaited=cache.awaits),
        recorder=Recorder(cluster, "test"),
        settings=harbour.SETTINGS,
        now=lambda: harbour.NOW,
    )
    return replace(made, **changes)


def credentials(url: str) -> Credentials:
    return Credentials(url, lambda: "Bearer test")


def listing(*objects: Object, version: str = "10", following: str = "") -> Answer:
    """A list; `following` names the next page."""

    async def answer(_: web.Request) -> web.StreamResponse:
        metadata = {"resourceVersion": version} | ({"continue": following} if following else {})
        return web.json_response({"kind": "List", "metadata": metadata, "items": list(objects)})

    return answer


def events(*lines: Object, hang: bool = True, cut: bool = False, rest: bytes = b"") -> Answer:
    """A watch that says these lines and this rest, then hangs, ends, or breaks in the midst of a line."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write(json.dumps(line).encode() + b"\n")
        await response.write(rest)
        if cut:
            await response.write(b'{"type": "MODI')
            assert request.transport is not None
            request.transport.abort()
        elif hang:
            await asyncio.sleep(3600)
        return response

    return answer


def plain(body: Object) -> Answer:
    """This object."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body)

    return answer


def status(code: int, reason: str = "", message: str = "", **headers: str) -> Answer:
    """A Status of the API server."""

    async def answer(_: web.Request) -> web.StreamResponse:
        body = {"kind": "Status", "code": code, "reason": reason, "message": message or f"scripted {code}"}
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(body, status=code, headers=names)

    return answer


def obj(name: str, version: str, namespace: str = "shop", **more: Any) -> Object:
    """Any object."""
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": version}
    return {"metadata": metadata, **more}


def event(kind: str, found: Object) -> Object:
    return {"type": kind, "object": found}


async def eventually(true: Callable[[], Any], seconds: float = 5) -> None:
    """Returns as soon as it is true. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)
