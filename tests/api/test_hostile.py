"""Clients that mean no good: none gets a 500, none keeps what it took, and the next one is served."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_runtime import connection
from registry_runtime.repository.intake import PART
from registry_runtime.repository.uploads import PARTS_MEMORY
from tests.api.client import Client, digest_of
from tests.api.replica import Replica


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    directory = tmp_path_factory.mktemp("hostile")
    with Replica(directory, {"kind": "directory", "path": str(directory / "data")}) as running:
        yield running


@pytest.fixture(autouse=True)
def still_well(replica: Replica) -> Iterator[None]:
    """After each test: it serves, and nothing unforeseen stands in the log."""
    yield
    assert replica.client().raw("GET", "/v2/").status == 200
    assert not replica.lines("unforeseen error")
    assert not [line for line in replica.lines("request") if line["status"] >= 500]


def said(replica: Replica, data: bytes, wait: float = 3) -> bytes:
    """What the server says until it closes, or says nothing more."""
    with socket.create_connection(("127.0.0.1", replica.ports["public"]), timeout=wait) as wire:
        heard = b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            wire.sendall(data)
            while piece := wire.recv(65536):
                heard += piece
        return heard


def resident(replica: Replica) -> int:
    """Memory of the process, in KiB."""
    assert replica.process is not None
    status = Path(f"/proc/{replica.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 600,  # TLS where none is spoken
        b"\x00" * 1000,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v2/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /v2/ HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nBad Header: x\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nX: a\r\n b\x00c\r\n\r\n",
    ],
)
def test_what_is_no_http(replica: Replica, data: bytes) -> None:
    """400 or a closed connection."""
    heard = said(replica, data)
    assert heard == b"" or heard.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 405 "))


@pytest.mark.parametrize(
    "path",
    [
        "/", "//", "/v2", "/v1/", "/v2/..", "/v2/../../etc/passwd",
        "/v2/%2e%2e/%2e%2e/etc/passwd/manifests/x", "/v2//manifests/x", "/v2/a//manifests/x",
        "/v2/a/manifests/", "/v2/a/manifests/..",
        "/v2/a/blobs/uploads/..%2f..%2f", "/v2/a/manifests/%00", "/v2/a%00b/manifests/x",
        "/v2/" + "a/" * 5000 + "manifests/x", "/v2/a/manifests/" + "x" * 20000, "/v2/a/tags/list/..",
        "/v2/a/manifests/x/blobs/uploads/../../../x", "/%76%32/", "/v2/a/referrers/sha256:..%2f",
        "/metrics", "/readyz", "/state", "/v2/%zz/manifests/x", "/v2/a/manifests/%ff",
        "/v2/_catalog/manifests/x", "/v2/a/_uploads/manifests/x", "http://evil/v2/", "*",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"])
def test_paths_that_are_tricks(replica: Replica, method: str, path: str) -> None:
    """Every path has an answer of its own, and none is a file or another door's."""
    heard = said(
        replica,
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode(),
    )
    status = int(heard.split(b" ", 2)[1])
    allowed = {200} if path in {"/v2", "http://evil/v2/", "/%76%32/"} else {400, 404, 405}
    assert status in allowed | {400, 404, 405}
    assert b"root:" not in heard


def test_a_flood_of_headers(replica: Replica) -> None:
    """431 or a cut, long before it costs memory; one endless header, and endlessly many."""
    before = resident(replica)
    for line in (b"X: " + b"a" * 65536, b"X: y\r\n" * 10000):
        with socket.create_connection(("127.0.0.1", replica.ports["public"]), timeout=10) as wire:
            wire.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n")
            with pytest.raises(ConnectionError):  # noqa: PT012 - the cut comes somewhere in here
                for _ in range(2000):
                    wire.sendall(line)
    assert resident(replica) - before < 20 * 1024


def test_large_but_honest_headers(replica: Replica) -> None:
    """A cookie jar of 16 KiB is no flood."""
    answer = replica.client().raw("GET", "/v2/", headers={"Cookie": "x" * 16000})
    assert answer.status == 200


def test_clients_that_say_nothing(replica: Replica) -> None:
    """A head that does not come is not waited for for ever: idle and dripping connections are cut."""
    wires = [socket.create_connection(("127.0.0.1", replica.ports["public"])) for _ in range(20)]
    try:
        deadline = time.monotonic() + connection._HEAD_SECONDS + 5
        for wire in wires:
            wire.settimeout(deadline - time.monotonic())
        for wire in wires[:10]:
            wire.sendall(b"GET /v2/ HTTP/1.1\r\nX: ")
        while time.monotonic() < deadline - 6:
            for wire in wires[:5]:
                with contextlib.suppress(ConnectionError):
                    wire.sendall(b"a")
            time.sleep(1)
        for wire in wires:
            with contextlib.suppress(ConnectionError):
                assert wire.recv(10) == b""
        assert time.monotonic() < deadline
    finally:
        for wire in wires:
            wire.close()


def test_requests_in_one_breath(replica: Replica) -> None:
    """Pipelined requests are answered one after another, in order."""
    request = b"GET /v2/%s/tags/list HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    heard = said(replica, b"".join(request % name for name in (b"one", b"two", b"three")) + last)
    assert [heard.find(name) for name in (b'"one"', b'"two"', b'"three"')] == sorted(
        heard.find(name) for name in (b'"one"', b'"two"', b'"three"')
    )
    assert heard.count(b"HTTP/1.1 404") == 3
    assert heard.count(b"HTTP/1.1 200") == 1


def test_a_client_that_does_not_read(replica: Replica) -> None:
    """Backpressure: a blob that nobody takes is not gathered in memory."""
    client = replica.client()
    content = b"x" * (64 * 1024 * 1024)
    digest = client.push_blob(content)
    before = resident(replica)
    wires = []
    for _ in range(8):
        wire = socket.create_connection(("127.0.0.1", replica.ports["public"]), timeout=10)
        wire.sendall(f"GET {client.base}/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wires.append(wire)
    time.sleep(2)
    assert resident(replica) - before < 60 * 1024
    for wire in wires:
        wire.close()


def test_a_client_that_leaves_in_the_middle(replica: Replica) -> None:
    """The rest of a blob is not read for it, and the line in the log says that it was cut."""
    client = replica.client()
    digest = client.push_blob(b"y" * (64 * 1024 * 1024))
    path = f"{client.base}/blobs/{digest}"
    with socket.create_connection(("127.0.0.1", replica.ports["public"]), timeout=10) as wire:
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wire.recv(100_000)
    deadline = time.monotonic() + 5
    while not (lines := [line for line in replica.lines("request") if line["path"] == path]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert lines[0]["status"] == 499
    assert lines[0]["bytes_out"] < 64 * 1024 * 1024


def test_who_takes_its_time_holds_up_no_other_namespace(replica: Replica) -> None:
    """As many bodies as there is memory for, of which nothing comes: others push as ever meanwhile."""
    slow = Client("127.0.0.1", replica.ports["public"], repository="slow/app")
    with contextlib.ExitStack() as wires:
        for _ in range(PARTS_MEMORY // PART):
            path = slow.send("POST", f"{slow.base}/blobs/uploads/").location
            wire = socket.create_connection(("127.0.0.1", replica.ports["public"]), timeout=10)
            wires.enter_context(wire)
            wire.sendall(f"PATCH {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {PART}\r\n\r\n.".encode())
        time.sleep(0.5)
        replica.client().push_blob(b"q" * (PART + 1))


def test_many_at_once(replica: Replica) -> None:
    """Two hundred connections with a body each, half of them cut, and all of the others are right."""
    client = replica.client()
    digest = client.push_blob(b"z" * 100_000)
    head = f"GET {client.base}/blobs/{digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    wires = [socket.create_connection(("127.0.0.1", replica.ports["public"]), timeout=20) for _ in range(200)]
    for wire in wires:
        wire.sendall(head)
    for wire in wires[::2]:
        wire.close()
    for wire in wires[1::2]:
        heard = b""
        while piece := wire.recv(65536):
            heard += piece
        assert digest_of(heard.partition(b"\r\n\r\n")[2]) == digest
        wire.close()


def test_a_body_where_none_belongs(replica: Replica) -> None:
    """It is not taken for the next request."""
    smuggled = b"GET /v2/smuggled/tags/list HTTP/1.1\r\nHost: x\r\n\r\n"
    head = f"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: {len(smuggled)}\r\n\r\n".encode()
    heard = said(replica, head + smuggled, wait=1)
    assert heard.count(b"HTTP/1.1") == 1
    assert b"smuggled" not in heard
    assert not [line for line in replica.lines("request") if "smuggled" in line["path"]]


def test_errors_are_in_the_form_of_the_specification(replica: Replica) -> None:
    """JSON with `errors`, each with a code of capitals; nothing of the inside."""
    client = Client("127.0.0.1", replica.ports["public"])
    for path in ("/nowhere", "/v2/a/tags/list", "/v2/A/tags/list", f"{client.base}/blobs/x"):
        answer = client.raw("GET", path)
        assert answer["Content-Type"] == "application/json"
        for error in answer.json()["errors"]:
            assert error["code"].replace("_", "").isupper()
            assert "Traceback" not in error["message"]
            assert str(replica.directory) not in answer.body.decode()
