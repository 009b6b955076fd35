"""Few connections for many watches: a thousand of their own, over TLS, would cost 65 KiB each."""

import asyncio
import ssl
from collections.abc import Callable, Mapping

from yarl import URL

from registry_operator.cluster.http2 import Connection, Exchange, Lost

OPEN_SECONDS = 10.0
PLAIN_SECONDS = 600.0  # whoever speaks HTTP/1.1 only is not asked again for so long


class Connections:
    """To one server, with as many requests on each as it allows; one more is opened when all are full."""

    def __init__(self, server: URL, tls: Callable[[], ssl.SSLContext]) -> None:
        self._host, self._port = server.host or "", server.port or 0
        self._authority = server.host_port_subcomponent or ""
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._connections: list[Connection] = []
        self._opening: asyncio.Task[OSError | None] | None = None
        self._plain_until = float("-inf") if server.scheme == "https" else float("inf")

    async def get(self, url: URL, headers: Mapping[str, str], quiet: float) -> Exchange | None:
        """A request on its way, lost when it hears nothing for `quiet` seconds; None: no HTTP/2 is spoken.

        Raises OSError where there is no connection.
        """
        request = [
            *((":method", "GET"), (":scheme", "https"), (":authority", self._authority)),
            (":path", url.raw_path_qs),
            *((name.lower(), value) for name, value in headers.items()),
        ]
        while asyncio.get_running_loop().time() >= self._plain_until:
            for connection in self._connections:
                if connection.has_room:
                    return connection.ask(request, quiet)
            await self._one_more()
        return None

    async def close(self) -> None:
        """Leaves nothing open."""
        if self._opening:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        connections = self._connections.copy()
        for connection in connections:
            connection.close()
        await asyncio.gather(*(connection.gone for connection in connections))

    async def _one_more(self) -> None:
        """Opens one; all who wait, wait for the same. Raises Lost."""
        self._opening = self._opening or asyncio.create_task(self._open(), name="open")
        # Cancelled is who waits. What was raised in the task itself would gather the traces of a thousand.
        if error := await asyncio.shield(self._opening):
            raise Lost(str(error) or f"no connection in {OPEN_SECONDS:.0f} seconds")

    async def _open(self) -> OSError | None:
        """Why there is none."""
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                connection = await self._connect()
                await connection.ready
        except OSError as error:  # TimeoutError is one
            return error
        finally:
            self._opening = None
        if not connection.spoken:
            self._plain_until = asyncio.get_running_loop().time() + PLAIN_SECONDS
            return None
        return None if connection.has_room else Lost(connection.ended or "the server allows no request")

    async def _connect(self) -> Connection:
        if self._context is None:
            self._context = self._tls()
            self._context.set_alpn_protocols(["h2", "http/1.1"])
        _, connection = await asyncio.get_running_loop().create_connection(
            Connection, self._host, self._port, ssl=self._context, happy_eyeballs_delay=0.25
        )
        self._connections.append(connection)
        connection.gone.add_done_callback(lambda _: self._connections.remove(connection))
        return connection
