"""Two plain HTTP ports: /livez for the kubelet, /metrics for Prometheus."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from registry_runtime.contract.exposition import CONTENT_TYPE


@asynccontextmanager
async def serving(
    port: int, faults: Callable[[], list[str]], metrics_port: int, text: Callable[[], str]
) -> AsyncIterator[None]:
    """Serves from the first moment on, also while another operator leads: a standby is alive, too."""

    async def livez(_: web.Request) -> web.Response:
        found = faults()
        return web.Response(status=500 if found else 200, text="\n".join(found) or "ok")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=text().encode(), headers={"Content-Type": CONTENT_TYPE})

    runners = [await _serve(port, "/livez", livez), await _serve(metrics_port, "/metrics", metrics)]
    try:
        yield
    finally:
        for runner in runners:
            await runner.cleanup()


async def _serve(port: int, path: str, answer: Callable[[web.Request], object]) -> web.AppRunner:
    app = web.Application()
    app.router.add_get(path, answer)  # type: ignore[arg-type]
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()  # None: all addresses, of both families
    return runner
