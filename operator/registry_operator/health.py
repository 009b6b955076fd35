"""Two plain HTTP ports: /livez and /readyz for the kubelet, /metrics for Prometheus."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from registry_runtime.contract.exposition import CONTENT_TYPE

Answer = Callable[[web.Request], Awaitable[web.Response]]
Faults = Callable[[], list[str]]


@asynccontextmanager
async def serving(
    port: int, faults: Faults, missing: Faults, metrics_port: int, text: Callable[[], str]
) -> AsyncIterator[None]:
    """Serves from the first moment on, also while another operator leads: who waits is alive, too.

    `faults` is why the process should be started anew, `missing` why a rollout should wait for it.
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=text().encode(), headers={"Content-Type": CONTENT_TYPE})

    runners = [
        await _serve(port, {"/livez": _probe(faults), "/readyz": _probe(missing)}),
        await _serve(metrics_port, {"/metrics": metrics}),
    ]
    try:
        yield
    finally:
        for runner in runners:
            await runner.cleanup()


def _probe(found: Faults) -> Answer:
    """200 and "ok", or 500 and what was found."""

    async def answer(_: web.Request) -> web.Response:
        sentences = found()
        return web.Response(status=500 if sentences else 200, text="\n".join(sentences) or "ok")

    return answer


async def _serve(port: int, answers: Mapping[str, Answer]) -> web.AppRunner:
    app = web.Application()
    for path, answer in answers.items():
        app.router.add_get(path, answer)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()  # None: all addresses, of both families
    return runner
