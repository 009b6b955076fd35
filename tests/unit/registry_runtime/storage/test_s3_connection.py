"""One connection to the storage, beside a server that says what the test wrote, on both event loops."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import uvloop

from registry_runtime.storage.s3 import pool as pools
from registry_runtime.storage.s3.connection import Broken
from registry_runtime.storage.s3.pool import Pool
from tests.unit.registry_runtime.served import gone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from registry_runtime.storage.s3.connection import Connection

    Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

REQUEST = b"GET /k HTTP/1.1\r\nhost: x\r\n\r\n"
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: "e"\r\n\r\nok'


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[None, None, None]], None]:
    """Runs a story to its end, and fails where it takes too long."""

    def on(story: Coroutine[None, None, None]) -> None:
        loop = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(asyncio.wait_for(story, 20))

    return on


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[Pool]:
    """Connections to a server on the loopback that does this for each of them."""
    done: list[asyncio.Task[None]] = []
    accepted: list[asyncio.StreamWriter] = []

    async def serving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        done.append(task)
        accepted.append(writer)
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serving, "127.0.0.1", 0)
    pool = Pool("127.0.0.1", server.sockets[0].getsockname()[1], None)
    try:
        yield pool
    finally:
        await pool.close()
        server.close()
        for task in done:
            task.cancel()
        await asyncio.gather(*done, *map(gone, accepted), return_exceptions=True)


def saying(*answers: bytes, each: int = 1 << 30) -> Serve:
    """A server that gives these answers on each connection, so many bytes at a time, and ends it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            for start in range(0, len(answer), each):
                writer.write(answer[start : start + each])
                await writer.drain()
                await asyncio.sleep(0)

    return serve


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def asked(pool: Pool, *, bodiless: bool = False) -> Connection:
    connection = await pool.lease()
    await connection.ask(REQUEST, (), 0, bodiless=bodiless)
    return connection


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"


@pytest.mark.parametrize("each", [1, 7, 1 << 30])
@pytest.mark.parametrize(
    ("answer", "content", "reusable"),
    [
        (OK, b"ok", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok", True),
        (CHUNKED, b"abcde", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (OK.replace(b"ETag", b"Connection: close\r\nETag"), b"ok", False),
        (OK.replace(b"1.1", b"1.0"), b"ok", False),
    ],
)
def test_every_form_of_answer_is_read(
    run: Callable[..., None], answer: bytes, content: bytes, reusable: bool, each: int
) -> None:
    """However it comes in pieces; and the connection serves again where the answer allows it."""

    async def story() -> None:
        async with served(saying(answer, OK, each=each)) as pool:
            connection = await asked(pool)
            assert await connection.rest() == content
            assert connection.reusable is reusable
            pool.give_back(connection)
            if reusable:
                again = await asked(pool)
                assert again is connection
                assert again.headers["etag"] == '"e"'
                assert await again.rest() == b"ok"

    run(story())


def test_an_answer_without_a_length_ends_with_its_connection(run: Callable[..., None]) -> None:
    """RFC 9112, section 6.3; one that breaks off before its length does not end, it breaks."""

    async def story() -> None:
        async with served(saying(b"HTTP/1.1 200 OK\r\n\r\nall of it")) as pool:
            connection = await asked(pool)
            assert await connection.rest() == b"all of it"
            assert not connection.reusable
        for cut in (OK[:-1], CHUNKED[:-3]):
            async with served(saying(cut)) as pool:
                connection = await asked(pool)
                with pytest.raises(Broken):
                    await connection.rest()

    run(story())


def test_the_answer_to_a_head_has_no_body(run: Callable[..., None]) -> None:
    """Its length is that of the object."""

    async def story() -> None:
        async with served(saying(OK[:-2].replace(b": 2", b": 5000000"), OK)) as pool:
            connection = await asked(pool, bodiless=True)
            assert connection.headers["content-length"] == "5000000"
            assert await connection.rest() == b""
            assert connection.reusable

    run(story())


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 2xx OK\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 40_000,
        b"",
    ],
)
def test_what_is_no_answer_is_an_error(run: Callable[..., None], answer: bytes) -> None:
    """A head that does not end neither, in bounded memory."""

    async def story() -> None:
        async with served(saying(answer)) as pool:
            with pytest.raises(Broken):
                await asked(pool)

    run(story())


def test_a_head_that_goes_on_and_on_is_no_answer(run: Callable[..., None]) -> None:
    """The server is not heard to its end, which may never come."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 20_000)
        await reader.read(-1)

    async def story() -> None:
        async with served(serve) as pool:
            with pytest.raises(Broken):
                await asked(pool)

    run(story())


def test_more_than_was_announced_is_nobodys(run: Callable[..., None]) -> None:
    """What comes behind an answer is neither part of it nor taken for the next one."""

    async def story() -> None:
        async with served(saying(OK + b"more")) as pool:
            connection = await asked(pool)
            assert await connection.rest() == b"ok"
            assert not connection.reusable
        async with served(saying(CHUNKED + b"more")) as pool:
            with pytest.raises(Broken):
                await (await asked(pool)).rest()

    run(story())


def test_what_comes_unasked_ends_the_connection(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle one hears nothing: what comes late is not taken for the answer to the next request."""
    monkeypatch.setattr(pools, "_IDLE_SECONDS", 1000)

    async def story() -> None:
        idle = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            await idle.wait()
            writer.write(OK)
            await reader.read(-1)

        async with served(serve) as pool:
            connection = await asked(pool)
            assert await connection.rest() == b"ok"
            pool.give_back(connection)
            idle.set()
            while connection.alive:
                await asyncio.sleep(0.01)

    run(story())


def test_what_was_read_is_never_written_over(run: Callable[..., None]) -> None:
    """Whoever holds pieces of one answer keeps them, though the connection serves the next request."""
    bodies = [os.urandom(size) for size in (10, 20_000, 700_000, 3_000_000, 5)]
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body for body in bodies]

    async def story() -> None:
        async with served(saying(*answers)) as pool:
            held = []
            for _ in bodies:
                connection = await asked(pool)
                pieces = []
                while piece := await connection.some():
                    pieces.append(piece)
                held.append(pieces)
                pool.give_back(connection)
            assert [b"".join(pieces) for pieces in held] == bodies

    run(story())


def test_who_does_not_read_makes_the_storage_wait(run: Callable[..., None]) -> None:
    """A slow client takes no memory: what nobody reads is not received."""
    size = 64 * 1024 * 1024
    sent = [0]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 65536):
            writer.write(bytes(65536))
            await writer.drain()
            sent[0] += 65536

    async def story() -> None:
        async with served(serve) as pool:
            connection = await asked(pool)
            before = -1
            while sent[0] != before:  # until nothing moves any more
                before = sent[0]
                await asyncio.sleep(0.3)
            assert sent[0] < size // 2
            got = 0
            while piece := await connection.some():
                got += len(piece)
            assert got == size

    run(story())


def test_an_answer_before_the_end_of_the_request_counts(run: Callable[..., None]) -> None:
    """A server refuses a large body by what its head says, and is not sent the rest of it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(20)

    async def story() -> None:
        async with served(serve) as pool:
            connection = await pool.lease()
            body = bytes(64 * 1024 * 1024)
            await connection.ask(b"PUT /k HTTP/1.1\r\n\r\n", [body], len(body), bodiless=False)
            assert connection.status == 503
            assert not connection.reusable

    run(story())


def test_a_large_body_arrives_as_it_is(run: Callable[..., None]) -> None:
    """In blocks of any size."""
    blocks = [os.urandom(size) for size in (1, 600_000, 0, 3_000_000, 77)]
    size = sum(map(len, blocks))
    arrived = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.append(await reader.readexactly(size))
        writer.write(OK)
        await writer.drain()

    async def story() -> None:
        async with served(serve) as pool:
            connection = await pool.lease()
            await connection.ask(b"PUT /k HTTP/1.1\r\n\r\n", blocks, size, bodiless=False)
            assert await connection.rest() == b"ok"
        assert arrived == [b"".join(blocks)]

    run(story())


def test_a_connection_that_the_server_ended_is_not_used(run: Callable[..., None]) -> None:
    """An idle one goes when its server says so, and one that was not read to the end is never kept."""

    async def story() -> None:
        async with served(saying(OK)) as pool:
            first = await asked(pool)
            await first.rest()
            pool.give_back(first)
            while first.alive:
                await asyncio.sleep(0.01)
            second = await asked(pool)
            assert second is not first
            pool.give_back(second)  # unread
            assert not second.alive

    run(story())


def test_an_address_that_leads_nowhere_is_passed_over(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name may have addresses of two families; where all fail, the last one's error is told."""
    found = ["127.0.0.2", "127.0.0.1"]

    async def addresses(_pool: Pool) -> list[str]:
        return found

    monkeypatch.setattr(Pool, "_addresses", addresses)

    async def story() -> None:
        async with served(saying(OK)) as pool:
            assert await (await asked(pool)).rest() == b"ok"
            found.pop()
            with pytest.raises(ConnectionRefusedError):
                await pool.lease(fresh=True)
            found[:] = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.1"]
            with pytest.raises(ConnectionRefusedError):  # so many, and no more, are waited for
                await pool.lease(fresh=True)
            found.clear()
            with pytest.raises(TimeoutError, match="no address"):
                await pool.lease(fresh=True)

    run(story())


def test_a_name_is_looked_up(run: Callable[..., None]) -> None:
    """And one that nobody knows is an error of the network."""

    async def story() -> None:
        async with served(saying(OK)) as pool:
            named = Pool("localhost", pool._port, None)
            assert await (await asked(named)).rest() == b"ok"
            await named.close()
        with pytest.raises(OSError, match=r"\S"):
            await Pool("nowhere.invalid", 1, None).lease()

    run(story())


async def test_a_name_with_several_addresses_gives_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order that the system prefers; it names an address again for each kind of socket."""
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 1)) for address in ("::1", "::1", "10.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert await Pool("storage.test", 1, None)._addresses() == ["::1", "10.0.0.1"]


def test_progress_of_any_kind_is_no_silence(run: Callable[..., None]) -> None:
    """What is taken of a request, what comes of an answer, and what waited for its reader alone."""
    large = 32 * 1024 * 1024  # more than the sockets of both sides hold

    async def story() -> None:
        go_on, taken = asyncio.Queue[None](), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await go_on.get()
            await reader.readexactly(large)
            taken.set()
            await go_on.get()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % large + bytes(large))
            await reader.read(-1)

        async with served(serve) as pool:
            connection = await pool.lease()
            head = b"PUT /k HTTP/1.1\r\n\r\n"
            asking = asyncio.ensure_future(connection.ask(head, [bytes(large)], large, bodiless=False))
            await until(lambda: connection._write_paused)
            connection.since = 0.0
            go_on.put_nowait(None)
            await until(lambda: not connection._write_paused)
            assert connection.since > 0, "a part of the request was taken"
            await taken.wait()
            connection.since = 0.0
            go_on.put_nowait(None)
            await asking
            assert connection.since > 0, "the answer begins"
            await until(lambda: connection._read_paused)
            connection.since = 0.0
            got = 0
            while connection._read_paused:
                got += len(await connection.some())
            assert connection.since > 0, "it was the reader who was slow"
            assert got + len(await connection.rest()) == large

    run(story())


def test_silence_ends_a_connection(run: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for the storage hears of it; idle connections go after a time."""
    monkeypatch.setattr(pools, "STALLED_SECONDS", 0.2)
    monkeypatch.setattr(pools, "_IDLE_SECONDS", 0.2)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK[:-1])
        await asyncio.sleep(20)

    async def story() -> None:
        async with served(silent) as pool:
            connection = await asked(pool)
            await connection.rest()
            await connection.ask(REQUEST, (), 0, bodiless=False)
            with pytest.raises(TimeoutError):
                await connection.rest()
            idle = await asked(pool)
            await idle.rest()
            pool.give_back(idle)
            while idle.alive:
                await asyncio.sleep(0.02)

    run(story())
