"""Watches that share a connection, and what may happen to it and to each of them."""

import asyncio
import tracemalloc
from pathlib import Path

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame
from registry_operator.cluster import Credentials, Scope, Stream
from registry_operator.cluster import api as api_module
from registry_operator.cluster import http2 as module
from registry_operator.cluster.api import Gone
from registry_operator.cluster.resources import SECRETS
from registry_operator.errors import ClusterError, NotPermitted, Unavailable

from tests.unit.operator.cluster.test_stream import Heard, version
from tests.unit.operator.scripted import eventually
from tests.unit.operator.scripted_http2 import serving
from tests.unit.operator.watching import SLOW, Door, door

STREAM_WINDOW = 65_535  # bytes


async def test_a_watch_asks_what_it_would_ask_over_http1(tmp_path: Path) -> None:
    """Path, query and headers are those of every request, and who we are is asked anew for each."""
    tokens = iter(["Bearer first", "Bearer second"])
    async with serving(tmp_path) as server:
        who = Credentials(server.url, lambda: next(tokens), str(server.authority.file))
        async with door(server, who) as opened:
            await opened.watch("shop", "other")
        first, second = server.watches
    path, _, query = first.headers[":path"].partition("?")
    assert path == "/api/v1/namespaces/shop/secrets"
    assert query.split("&") == [
        *("watch=true", "allowWatchBookmarks=true", "resourceVersion=10", "timeoutSeconds=300")
    ]
    assert (first.headers["authorization"], second.headers["authorization"]) == (
        "Bearer first",
        "Bearer second",
    )
    assert first.headers[":authority"] == server.url.removeprefix("https://")
    assert first.headers["user-agent"] == "roadstead-operator"
    assert (first.headers["accept"], first.headers["accept-encoding"]) == ("application/json", "identity")
    assert opened.counted == [("watch", "secrets", 200)] * 2


async def test_many_watches_share_one_connection(tmp_path: Path) -> None:
    """Sixty of them, their events mixed: each hears its own, all of it, in order."""
    names = [f"tenant-{number}" for number in range(60)]
    async with serving(tmp_path) as server, door(server) as opened:
        readers = await opened.watch(*names)
        for turn in range(20):
            for watch in server.watches:
                watch.say("a", f"{watch.namespace}/{turn}", data={"large": "x" * (turn * 300)})
        for name, reader in zip(names, readers, strict=True):
            await reader.hears(*(f"{name}/{turn}" for turn in range(20)))
        assert len(server.peers) == 1
        (connection,) = opened.cluster._wire._connections._connections
        assert not any(exchange.headers for exchange in connection._exchanges.values())  # nobody asks


async def test_a_line_of_a_mebibyte_passes_and_nothing_of_it_stays(tmp_path: Path) -> None:
    """It is sixteen times the window of a stream: what was read lets more come, and is let go."""
    size = 4 << 20
    async with serving(tmp_path) as server, door(server) as opened:
        (reader,) = await opened.watch("shop")
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            server.watches[0].say("a", "11", data={"large": "x" * size})
            await reader.hears("11")
            assert tracemalloc.get_traced_memory()[1] - before > size, "it was in memory"
            server.watches[0].say("b", "12", data={"large": "x" * 60_000})  # and so does not the last chunk
            await reader.hears("11", "12")
            await eventually(lambda: _largest() < 40_000, SLOW)
        finally:
            tracemalloc.stop()
        assert reader.large == size + 60_000


async def test_who_reads_slowly_holds_up_nobody_else(tmp_path: Path) -> None:
    """More than a window is not sent to it; another stream of the connection goes on, and it itself later."""
    async with serving(tmp_path) as server, door(server) as opened:
        slow, quick = await opened.watch("slow", "quick")
        slow.go_on.clear()
        server.watches[0].say("a", "11")
        await slow.hears("11")
        server.watches[0].say("b", "12", data={"large": "x" * (1 << 20)})
        server.watches[1].say("c", "13", data={"large": "x" * (1 << 20)})
        await quick.hears("13")
        assert len(server.watches[0].waiting) >= (1 << 20) - 2 * STREAM_WINDOW
        slow.go_on.set()
        await slow.hears("11", "12")
        assert len(server.peers) == 1


async def test_what_nobody_will_read_leaves_room_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Watches that end with unread data give its place in the connection's window back."""
    monkeypatch.setattr(module, "WINDOW", STREAM_WINDOW)  # so twice as much: two slow ones fill it
    async with serving(tmp_path) as server, door(server) as opened:
        for number in range(6):
            (reader,) = await opened.watch("slow")
            reader.go_on.clear()
            server.watches[number].say("a", "11")
            await reader.hears("11")
            server.watches[number].say("b", "12", data={"large": "x" * (1 << 20)})
            await eventually(lambda: _unread(opened) > STREAM_WINDOW - 1000, SLOW)
            await reader.cancel()
        (last,) = await opened.watch("last")
        server.watches[-1].say("c", "13", data={"large": "x" * (1 << 20)})
        await last.hears("13")
        assert len(server.peers) == 1


async def test_a_reset_stream_is_lost_alone(tmp_path: Path) -> None:
    """RST_STREAM is an error that is tried again; others on the connection do not notice."""
    async with serving(tmp_path) as server, door(server) as opened:
        one, other = await opened.watch("one", "other")
        server.watches[0].cut(ErrorCodes.REFUSED_STREAM)
        error = await one.fails()
        assert isinstance(error, Unavailable)
        assert "REFUSED_STREAM" in error.message
        server.watches[1].say("a", "11")
        await other.hears("11")
        assert other.error is None


@pytest.mark.parametrize("how", ["cut", "nonsense"])
async def test_a_lost_connection_is_lost_for_all_at_once(tmp_path: Path, how: str) -> None:
    """Cut, or against the protocol: every watch on it is Unavailable, and counted once, as 200."""
    async with serving(tmp_path) as server, door(server) as opened:
        readers = await opened.watch("a", "b", "c")
        server.watches[0].say("a", "11")
        await readers[0].hears("11")
        if how == "cut":
            server.peers[0].transport.abort()
        else:
            server.peers[0].transport.write(DataFrame(0x7FFFFFF1, b"of no stream").serialize())
        for reader in readers:
            assert isinstance(await reader.fails(), Unavailable)
        assert opened.counted == [("watch", "secrets", 200)] * 3


async def test_a_stream_goes_on_where_its_connection_was_lost(tmp_path: Path) -> None:
    """From the version that it heard last, on another connection, without a list."""
    async with serving(tmp_path) as server, door(server) as opened:
        heard = Heard()
        stream = Stream(opened.cluster, SECRETS, heard, version, Scope("shop"))
        stream._version = "10"  # as after a list
        running = asyncio.create_task(stream.run())
        (first,) = await server.asked(1)
        first.answer()
        first.say("a", "11")
        await eventually(lambda: heard.objects == {"shop/a": "11"}, SLOW)
        server.peers[0].transport.abort()
        _, second = await server.asked(2)
        assert "resourceVersion=11&" in second.headers[":path"]
        second.answer()
        second.say("a", "12")
        await eventually(lambda: heard.objects == {"shop/a": "12"}, SLOW)
        assert heard.lists == 0
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_dead_connection_is_noticed_and_left(tmp_path: Path) -> None:
    """Who answers PING is not; who does not is, before the watches themselves would have to say something."""
    async with serving(tmp_path) as server, door(server) as opened:
        readers = await opened.watch("a", "b")
        (connection,) = opened.cluster._wire._connections._connections
        for _ in range(3):
            while connection._silence < module.BEATS:
                connection._beat()
            await eventually(lambda: connection._silence == 0, SLOW)  # it was answered

        server.peers[0].transport.pause_reading()
        while connection._silence <= module.BEATS:
            connection._beat()
        for reader in readers:
            assert "PING" in (await reader.fails()).message
        (again,) = await opened.watch("a")
        server.watches[-1].say("a", "11")
        await again.hears("11")
        assert server.watches[-1].peer is server.peers[1]


async def test_a_silent_stream_is_left_and_its_connection_takes_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No bookmark for too long: the server is told that nobody listens; the connection's others go on."""
    async with serving(tmp_path) as server, door(server) as opened:
        (other,) = await opened.watch("other")
        with monkeypatch.context() as hurried:
            hurried.setattr(api_module, "QUIET_SECONDS", 0.2)
            silent = opened.begin("silent")
            error = await silent.fails()
        assert isinstance(error, Unavailable)
        assert "nothing was heard" in error.message
        await eventually(lambda: server.watches[1].reset == ErrorCodes.CANCEL, SLOW)
        await opened.watch("silent")
        assert server.watches[2].peer is server.peers[1]
        server.watches[0].say("a", "11")
        await other.hears("11")
        assert other.error is None


async def test_a_watch_that_is_cancelled_is_told_to_the_server(tmp_path: Path) -> None:
    """RST_STREAM with CANCEL, before its answer and in the midst of it."""
    async with serving(tmp_path) as server, door(server) as opened:
        early = opened.begin("early")
        await server.asked(1)
        (late,) = await opened.watch("late")
        for reader in (early, late):
            await reader.cancel()
        await eventually(lambda: [watch.reset for watch in server.watches] == [ErrorCodes.CANCEL] * 2, SLOW)


async def test_a_watch_that_ends_ends(tmp_path: Path) -> None:
    """As the API server ends each after some minutes: no error, no reset, and the connection stays."""
    async with serving(tmp_path) as server, door(server) as opened:
        (reader,) = await opened.watch("shop")
        server.watches[0].say("a", "11")
        server.watches[0].end()
        await reader.ends()
        await opened.watch("shop")
        assert reader.heard == ["11"]
        assert server.watches[0].reset is None
        assert len(server.peers) == 1


async def test_what_ended_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library would remember the last 65,536 streams of each connection."""
    monkeypatch.setattr(module.Http2, "MAX_CLOSED_STREAMS", 20)
    async with serving(tmp_path) as server, door(server) as opened:
        for number in range(100):
            (reader,) = await opened.watch("shop")
            server.watches[number].end()
            await reader.ends()
        (connection,) = opened.cluster._wire._connections._connections
        assert len(connection._http2._closed_streams) == 20
        assert len(connection._http2.streams) <= 1


@pytest.mark.parametrize(
    ("code", "error"),
    [(401, Unavailable), (403, NotPermitted), (410, Gone), (429, Unavailable), (500, Unavailable)],
)
async def test_a_refusal_becomes_an_error_of_ours(
    tmp_path: Path, code: int, error: type[ClusterError]
) -> None:
    """As over HTTP/1.1: with the place, the sentence, when to come back, and counted once by its code."""
    async with serving(tmp_path) as server, door(server) as opened:
        reader = opened.begin("shop")
        (watch,) = await server.asked(1)
        watch.answer(code, {"kind": "Status", "message": "said the server"}, retry_after="7")
        raised = await reader.fails()
        assert type(raised) is error
        assert raised.place == "Secret shop"
        assert code == 401 or "said the server" in raised.message
        assert not isinstance(raised, Unavailable) or raised.retry_after == 7
        assert not isinstance(raised, NotPermitted) or raised.namespace == "shop"
        assert opened.counted == [("watch", "secrets", code)]


def _unread(opened: Door) -> int:
    """Bytes that came and that nobody has read."""
    (connection,) = opened.cluster._wire._connections._connections
    return sum(exchange._unread for exchange in connection._exchanges.values())


def _largest() -> int:
    """Bytes of the largest thing that was made since memory is traced, and is still there."""
    return max(trace.size for trace in tracemalloc.take_snapshot().traces)
