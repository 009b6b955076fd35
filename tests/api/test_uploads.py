"""Uploads: in one request, in two, in chunks, streamed, mounted, cancelled, and broken."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from tests.api.client import OCTETS, Answer, Client, digest_of
from tests.api.replica import Replica

CONTENT = b"0123456789" * 120  # 1200 bytes
CHUNKS = [(0, 399), (400, 799), (800, 1199)]
DIGEST = digest_of(CONTENT)


def begin(client: Client) -> str:
    answer = client.send("POST", f"{client.base}/blobs/uploads/")
    assert answer.status == 202
    assert answer["Range"] == "0-0"
    return answer.location


def patch(client: Client, location: str, start: int, end: int) -> Answer:
    headers = {"Content-Range": f"{start}-{end}", "Content-Type": OCTETS}
    return client.send("PATCH", location, CONTENT[start : end + 1], headers)


def end(client: Client, location: str, digest: str = DIGEST, body: bytes = b"") -> Answer:
    return client.send("PUT", f"{location}?digest={digest}", body, {"Content-Type": OCTETS})


def post_only(client: Client, digest: str) -> Answer:
    return client.send("POST", f"{client.base}/blobs/uploads/?digest={digest}", CONTENT)


def post_put(client: Client, digest: str) -> Answer:
    return end(client, begin(client), digest, CONTENT)


def chunked(client: Client, digest: str) -> Answer:
    location = begin(client)
    for start, stop in CHUNKS:
        answer = patch(client, location, start, stop)
        assert (answer.status, answer["Range"]) == (202, f"0-{stop}")
        location = answer.location
    return end(client, location, digest)


def one_chunk(client: Client, digest: str) -> Answer:
    location = patch(client, begin(client), 0, len(CONTENT) - 1).location
    return end(client, location, digest)


def chunked_last_in_put(client: Client, digest: str) -> Answer:
    location = begin(client)
    for start, stop in CHUNKS[:-1]:
        location = patch(client, location, start, stop).location
    start, stop = CHUNKS[-1]
    headers = {"Content-Range": f"{start}-{stop}"}
    return client.send("PUT", f"{location}?digest={digest}", CONTENT[start:], headers)


def streamed(client: Client, digest: str) -> Answer:
    answer = client.send("PATCH", begin(client), iter([CONTENT[:5], CONTENT[5:]]), {"Content-Type": OCTETS})
    assert (answer.status, answer["Range"]) == (202, "0-1199")
    return end(client, answer.location, digest)


def streamed_put(client: Client, digest: str) -> Answer:
    return client.send("PUT", f"{begin(client)}?digest={digest}", iter([CONTENT[:5], CONTENT[5:]]))


WAYS = [post_only, post_put, one_chunk, chunked, chunked_last_in_put, streamed, streamed_put]
ALGORITHMS = pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
Way = Callable[[Client, str], Answer]


@pytest.mark.parametrize("way", WAYS)
@ALGORITHMS
def test_every_way_to_push(client: Client, way: Way, algorithm: str) -> None:
    """Each ends with 201 and a Location from which the blob can be pulled, until it is deleted."""
    digest = digest_of(CONTENT, algorithm)
    answer = way(client, digest)
    assert answer.status == 201, answer.body
    assert answer["Docker-Content-Digest"] == digest
    assert answer.location == f"{client.base}/blobs/{digest}"
    assert client.send("GET", answer.location).body == CONTENT
    assert client.send("HEAD", answer.location)["Content-Length"] == str(len(CONTENT))
    assert client.send("DELETE", answer.location).status == 202
    assert client.send("HEAD", answer.location).status == 404


@pytest.mark.parametrize("way", WAYS)
@ALGORITHMS
def test_a_wrong_digest_leaves_nothing(client: Client, way: Way, algorithm: str) -> None:
    """400 DIGEST_INVALID, and nothing that could be pulled under either digest."""
    wrong = digest_of(b"something else", algorithm)
    answer = way(client, wrong)
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    for digest in (wrong, digest_of(CONTENT, algorithm)):
        assert client.send("HEAD", f"{client.base}/blobs/{digest}").status == 404


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize(("start", "stop"), [(800, 1199), (0, 399)])
@ALGORITHMS
def test_out_of_order(client: Client, method: str, start: int, stop: int, algorithm: str) -> None:
    """416 for a chunk ahead and for one again; the state tells where to go on, and going on works."""
    location = patch(client, begin(client), 0, 399).location
    headers = {"Content-Range": f"{start}-{stop}"}
    digest = digest_of(CONTENT, algorithm)
    target = f"{location}?digest={digest}" if method == "PUT" else location
    assert client.send(method, target, CONTENT[start : stop + 1], headers).status == 416
    state = client.send("GET", location)
    assert (state.status, state["Range"]) == (204, "0-399")
    location = patch(client, state.location, 400, 1199).location
    assert end(client, location, digest).status == 201


def test_out_of_order_before_anything_came(client: Client) -> None:
    """The first chunk must begin at 0."""
    location = begin(client)
    assert patch(client, location, 400, 799).status == 416
    state = client.send("GET", location)
    assert (state.status, state["Range"]) == (204, "0-0")


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        ("rubbish", 400, "BLOB_UPLOAD_INVALID"),
        ("5", 400, "BLOB_UPLOAD_INVALID"),
        ("-5-3", 400, "BLOB_UPLOAD_INVALID"),
        ("399-0", 416, "BLOB_UPLOAD_INVALID"),
        ("0-400", 400, "SIZE_INVALID"),
        ("0-" + "9" * 300, 400, "BLOB_UPLOAD_INVALID"),
    ],
)
def test_wrong_content_ranges(client: Client, header: str, status: int, code: str) -> None:
    """Ranges that are none, and ones that do not fit the body."""
    location = begin(client)
    answer = client.send("PATCH", location, CONTENT[:400], {"Content-Range": header})
    assert (answer.status, answer.code) == (status, code)
    assert client.send("GET", location)["Range"] == "0-0"


def test_cancel(client: Client) -> None:
    """204, and the session is gone for every verb."""
    location = patch(client, begin(client), 0, 399).location
    assert client.send("DELETE", location).status == 204
    for method in ("GET", "PATCH", "DELETE"):
        answer = client.send(method, location)
        assert answer.status == 404
    answer = end(client, location)
    assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_a_commit_whose_answer_was_lost_may_be_repeated(client: Client) -> None:
    """The same PUT again is 201 again."""
    location = patch(client, begin(client), 0, 1199).location
    assert [end(client, location).status for _ in range(2)] == [201, 201]


@pytest.mark.parametrize("uuid", ["nothing", "../../x", "%2e%2e%2f", "0" * 500])
def test_sessions_that_never_were(client: Client, uuid: str) -> None:
    """404, whatever a client makes up."""
    assert client.send("GET", f"{client.base}/blobs/uploads/{uuid}").status == 404


def test_a_session_belongs_to_its_repository(client: Client) -> None:
    """Under another repository's name it is unknown."""
    location = client.send("PATCH", begin(client), CONTENT).location
    elsewhere = location.replace(client.repository, f"{client.repository}-2")
    assert client.send("PATCH", elsewhere, CONTENT).status == 404


@ALGORITHMS
def test_mount(client: Client, algorithm: str) -> None:
    """From a named repository, and from wherever it is: 201 without a byte."""
    digest = client.push_blob(CONTENT, algorithm)
    for query in (f"mount={digest}&from={client.repository}", f"mount={digest}"):
        target = Client(client.host, client.port, client.tls, client.password)
        answer = target.send("POST", f"{target.base}/blobs/uploads/?{query}")
        assert answer.status == 201
        assert target.send("GET", answer.location).body == CONTENT


@pytest.mark.parametrize("source", ["&from=team/nowhere", "&from=../x", "&from=", ""])
def test_a_mount_that_finds_nothing_becomes_an_upload(client: Client, source: str) -> None:
    """202, and the session works."""
    content = source.encode() + client.repository.encode()
    digest = digest_of(content)
    answer = client.send("POST", f"{client.base}/blobs/uploads/?mount={digest}{source}")
    assert answer.status == 202
    assert end(client, answer.location, digest, content).status == 201


@pytest.mark.parametrize("query", ["digest=rubbish", "mount=rubbish", "digest-algorithm=md5"])
def test_rubbish_in_the_query(client: Client, query: str) -> None:
    """400 DIGEST_INVALID before a session is made."""
    answer = client.send("POST", f"{client.base}/blobs/uploads/?{query}", CONTENT)
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


def test_a_put_without_a_digest(client: Client) -> None:
    """400, and the session goes on."""
    location = begin(client)
    assert client.send("PUT", location, CONTENT).code == "DIGEST_INVALID"
    assert end(client, location, DIGEST, CONTENT).status == 201


def wire(client: Client) -> socket.socket:
    """A bare connection, to be cut."""
    plain = socket.create_connection((client.host, client.port), timeout=10)
    return client.tls.wrap_socket(plain, server_hostname=client.host) if client.tls else plain


def authorization(client: Client) -> str:
    """The header lines of a client that logged in for this repository, or none."""
    client.send("POST", f"{client.base}/blobs/uploads/")
    bearers = [bearer for kind, bearer in client._bearers.items() if kind.startswith("False")]
    return f"Authorization: {bearers[0]}\r\n" if bearers else ""


@pytest.mark.parametrize("framing", ["Content-Length: 1200", "Transfer-Encoding: chunked"])
def test_a_cut_connection_is_no_short_body(client: Client, framing: str) -> None:
    """What came before the cut is kept for the session, nothing is taken for complete."""
    location = begin(client)
    head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\n{authorization(client)}{framing}\r\n\r\n"
    start = CONTENT[:700] if "Length" in framing else b"2bc\r\n" + CONTENT[:700] + b"\r\n"
    with wire(client) as connection:
        connection.sendall(head.encode() + start)
        time.sleep(0.2)
    received = ""
    for _ in range(50):
        received = client.send("GET", location)["Range"] or ""
        if received == "0-699":
            break
        time.sleep(0.1)
    assert received == "0-699"
    assert patch(client, location, 700, 1199).status == 202
    assert end(client, location).status == 201


def test_a_cut_push_leaves_nothing(client: Client, replica: Replica) -> None:
    """A PUT that ends in the middle makes no blob, and the log has its line."""
    location = begin(client)
    head = (
        f"PUT {location}?digest={digest_of(CONTENT[:700])} HTTP/1.1\r\nHost: x\r\n{authorization(client)}"
        "Content-Length: 1200\r\n\r\n"
    )
    with wire(client) as connection:
        connection.sendall(head.encode() + CONTENT[:700])
        time.sleep(0.2)
    time.sleep(0.3)
    for digest in (DIGEST, digest_of(CONTENT[:700])):
        assert client.send("HEAD", f"{client.base}/blobs/{digest}").status == 404
    lines = [line for line in replica.lines("request") if line["path"] == location]
    assert [line["status"] for line in lines if line["method"] == "PUT"] == [499]


def test_a_refused_push_is_not_asked_for_its_body(client: Client) -> None:
    """With Expect: 100-continue the answer comes before the body."""
    with wire(client) as connection:
        connection.sendall(
            f"POST /v2/Bad/blobs/uploads/?digest={DIGEST} HTTP/1.1\r\nHost: x\r\n"
            "Content-Length: 1200\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_large_blob_in_uneven_chunks(client: Client) -> None:
    """11 MiB in chunks that fit no part size, each on a connection of its own."""
    content = bytes(index % 251 for index in range(1024)) * 11 * 1024
    location = begin(client)
    offset = 0
    for size in (1, 5_000_000, 3, 6_000_000, len(content)):
        piece = content[offset : offset + size]
        headers = {"Content-Range": f"{offset}-{offset + len(piece) - 1}"}
        answer = client.send("PATCH", location, piece, headers)
        assert answer.status == 202
        offset += len(piece)
    assert end(client, location, digest_of(content)).status == 201
    assert client.send("GET", f"{client.base}/blobs/{digest_of(content)}").body == content
