"""How many connections there are, to whom, and when they are opened and closed."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from registry_operator.cluster import Credentials
from registry_operator.cluster import connections as connections_module
from registry_operator.errors import Unavailable

from tests.certificates import Authority
from tests.unit.operator.cluster.test_stream import BOOKMARK
from tests.unit.operator.scripted import ScriptedApi, events, eventually
from tests.unit.operator.scripted_http2 import Server, serving
from tests.unit.operator.watching import SLOW, door


async def test_no_connection_has_more_streams_than_the_server_allows(tmp_path: Path) -> None:
    """Not one too many, though all come at once; a place that is free is taken before another is opened."""
    async with serving(tmp_path) as server, door(server) as opened:
        server.limit = 3
        readers = [opened.begin(f"tenant-{number}") for number in range(8)]
        for watch in await server.asked(8):
            watch.answer()
        assert (server.most, len(server.peers)) == (3, 3)

        await readers[0].cancel()
        await eventually(lambda: server.watches[0].reset is not None)
        await opened.watch("one-more", "and-another")
        assert (server.most, len(server.peers)) == (3, 3)


async def test_a_limit_holds_from_when_it_is_said(tmp_path: Path) -> None:
    """Nothing is asked before the server's settings are there, nor above a limit that was lowered."""
    async with serving(tmp_path) as server, door(server) as opened:
        server.settings, server.limit = False, 2
        readers = [opened.begin("a"), opened.begin("b")]
        await eventually(lambda: server.peers, SLOW)
        server.peers[0].settle()
        for watch in await server.asked(2):
            watch.answer()
            watch.say("first", "11")
        server.settings = True
        server.peers[0].allow(1)
        for watch in server.watches:  # behind the settings: who hears it has these
            watch.say("second", "12")
        for reader in readers:
            await reader.hears("11", "12")

        await readers[0].cancel()
        await opened.watch("c")
        assert [len(peer.watches) for peer in server.peers] == [1, 1]


async def test_a_server_that_allows_nothing_is_no_loop(tmp_path: Path) -> None:
    """It is unavailable: one connection was tried."""
    async with serving(tmp_path) as server, door(server) as opened:
        server.limit = 0
        error = await opened.begin("shop").fails()
        assert isinstance(error, Unavailable)
        assert len(server.peers) == 1


async def test_streams_that_a_leaving_server_knows_go_on(tmp_path: Path) -> None:
    """GOAWAY, and events right behind it: the first two hear on, the third is lost, new ones move."""
    async with serving(tmp_path) as server, door(server) as opened:
        first, second, third = await opened.watch("a", "b", "c")
        peer = server.peers[0]
        peer.go_away(2**31 - 1)  # as Go does: a warning first
        peer.go_away(server.watches[1].number)
        server.watches[0].say("a", "11")
        assert "goes away" in str((await third.fails()).message)
        server.watches[1].say("b", "12", data={"large": "x" * (1 << 20)})
        await first.hears("11")
        await second.hears("12")

        (moved,) = await opened.watch("c")
        server.watches[3].say("c", "13")
        await moved.hears("13")
        assert server.watches[3].peer is server.peers[1]
        assert (first.error, second.error) == (None, None)


async def test_a_connection_without_a_watch_is_closed(tmp_path: Path) -> None:
    """So that none of those that many watches needed stays behind; with a watch it stays."""
    async with serving(tmp_path) as server, door(server) as opened:
        (reader,) = await opened.watch("shop")
        (connection,) = opened.cluster._wire._connections._connections
        connection._beat()
        server.watches[0].say("a", "11")
        await reader.hears("11")
        await reader.cancel()
        connection._beat()
        await eventually(lambda: server.peers[0].lost, SLOW)
        assert not opened.cluster._wire._connections._connections


async def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    """As of a kubeconfig, to a server that asks for one; there is no header then."""
    async with serving(tmp_path, clients=True) as server:
        issued = server.authority.issue(tmp_path / "me", "operator", client=True)
        shown = str(issued / "tls.crt"), str(issued / "tls.key")
        known = Credentials(server.url, lambda: None, str(server.authority.file), shown)
        async with door(server, known) as opened:
            await opened.watch("shop")
            shown_there = server.peers[0].transport.get_extra_info("peercert")
            assert (("commonName", "operator"),) in shown_there["subject"]
            assert "authorization" not in server.watches[0].headers


async def test_a_server_of_another_authority_is_not_asked(tmp_path: Path) -> None:
    """Its certificate is checked before anything is said; unless the kubeconfig says otherwise."""
    async with serving(tmp_path / "one") as server, serving(tmp_path / "other") as other:
        known = Credentials(server.url, lambda: "Bearer test", str(other.authority.file))
        async with door(server, known) as opened:
            error = await opened.begin("shop").fails()
            assert isinstance(error, Unavailable)
            assert "CERTIFICATE_VERIFY_FAILED" in error.message
            assert not server.watches
            assert opened.counted == [("watch", "secrets", 0)]
        careless = Credentials(server.url, lambda: "Bearer test", str(other.authority.file), verify=False)
        async with door(server, careless) as opened:
            await opened.watch("shop")


async def test_a_cluster_that_closes_leaves_nothing_open(tmp_path: Path) -> None:
    """With watches that listen, and one that waits for a connection that is being opened."""
    async with serving(tmp_path) as server:
        async with door(server) as opened:
            server.limit = 2
            await opened.watch("a", "b")
            server.settings = False
            waits = opened.begin("c")
            await eventually(lambda: len(server.peers) == 2, SLOW)
            connections = opened.cluster._wire._connections._connections.copy()
            await opened.cluster.__aexit__(None, None, None)
            assert [connection.gone.done() for connection in connections] == [True, True]
            for reader in opened.readers[:2]:
                assert isinstance(await reader.fails(), Unavailable)
            await eventually(waits.task.done, SLOW)
        await eventually(lambda: all(peer.lost for peer in server.peers), SLOW)


@asynccontextmanager
async def silent() -> AsyncIterator[tuple[str, list[asyncio.StreamWriter]]]:
    """A server that takes connections and says nothing: its URL, and who came."""
    came: list[asyncio.StreamWriter] = []
    listener = await asyncio.start_server(lambda _, writer: came.append(writer), "127.0.0.1", 0)
    try:
        yield f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}", came
    finally:
        listener.close()
        for writer in came:
            writer.transport.abort()
        await listener.wait_closed()


async def test_all_who_wait_for_a_connection_wait_for_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that does not answer is tried once for forty watches, not once for each after the other."""
    monkeypatch.setattr(connections_module, "OPEN_SECONDS", 0.3)
    async with silent() as (url, came), door(Server(url, Authority(tmp_path))) as opened:
        readers = [opened.begin(f"tenant-{number}") for number in range(40)]
        for reader in readers:
            assert isinstance(await reader.fails(), Unavailable)
        assert len(came) == 1
        assert opened.counted == [("watch", "secrets", 0)] * 40


async def test_who_is_closed_waits_for_no_handshake(tmp_path: Path) -> None:
    """A watch is cancelled, and the cluster closed, while the server has not answered yet."""
    async with silent() as (url, came):
        async with door(Server(url, Authority(tmp_path))) as opened:
            opened.begin("shop")
            await eventually(lambda: came, SLOW)
        assert len(came) == 1


@pytest.mark.parametrize("protocols", [(), ("http/1.1",)])
async def test_who_speaks_no_http2_is_asked_once(tmp_path: Path, protocols: tuple[str, ...]) -> None:
    """Such as a proxy, with and without ALPN: each watch has a connection of its own, as over plain HTTP."""
    api, handshakes = ScriptedApi(), []
    for namespace in ("a", "b"):
        api.on(f"/api/v1/namespaces/{namespace}/secrets", events(BOOKMARK), watch=True)
    authority = Authority(tmp_path)
    issued = authority.issue(tmp_path / "server", "127.0.0.1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(issued / "tls.crt", issued / "tls.key")
    tls.sni_callback = lambda *_: handshakes.append(1)
    if protocols:
        tls.set_alpn_protocols(protocols)
    app = web.Application()
    app.router.add_get("/{path:.*}", api.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        async with door(Server(f"https://127.0.0.1:{runner.addresses[0][1]}", authority)) as opened:
            for namespace in ("a", "b"):
                await opened.begin(namespace).hears("77")
            assert len(handshakes) == 3  # to learn it, and two watches
    finally:
        await runner.cleanup()
