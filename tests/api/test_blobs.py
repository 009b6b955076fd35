"""Blobs: look, pull, ranges, conditions, delete."""

from __future__ import annotations

import pytest

from tests.api.client import Client, digest_of

CONTENT = bytes(range(256)) * 8  # 2048 bytes
MISSING = digest_of(b"never pushed")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_blob_is_pulled_as_it_was_pushed(client: Client, algorithm: str) -> None:
    """HEAD tells size and digest without a body, GET gives the bytes; in both digest algorithms."""
    digest = client.push_blob(CONTENT, algorithm)
    looked = client.send("HEAD", f"{client.base}/blobs/{digest}")
    pulled = client.send("GET", f"{client.base}/blobs/{digest}")
    for answer in (looked, pulled):
        assert answer.status == 200
        assert answer["Content-Length"] == str(len(CONTENT))
        assert answer["Docker-Content-Digest"] == digest
        assert answer["Accept-Ranges"] == "bytes"
        assert answer["ETag"] == f'"{digest}"'
    assert looked.body == b""
    assert pulled.body == CONTENT


@pytest.mark.parametrize("content", [b"", b"{}", b"x" * (3 * 1024 * 1024 + 7)], ids=len)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_blobs_of_any_size(client: Client, content: bytes, algorithm: str) -> None:
    """Nothing at all, a few bytes, and more than one window."""
    digest = client.push_blob(content, algorithm)
    pulled = client.send("GET", f"{client.base}/blobs/{digest}")
    assert (pulled.status, pulled.body) == (200, content)
    assert client.send("HEAD", f"{client.base}/blobs/{digest}")["Content-Length"] == str(len(content))


@pytest.mark.parametrize(
    ("header", "status", "start", "end"),
    [
        ("bytes=500-1499", 206, 500, 1499),
        ("bytes=0-0", 206, 0, 0),
        ("bytes=500-", 206, 500, 2047),
        ("bytes=-500", 206, 1548, 2047),
        ("bytes=-5000", 206, 0, 2047),
        ("bytes=2000-5000", 206, 2000, 2047),
        ("bytes=0-99999999999", 206, 0, 2047),
        ("bytes=0-1,5-6", 200, 0, 2047),
        ("lines=0-1", 200, 0, 2047),
        ("bytes=", 200, 0, 2047),
        ("bytes=-", 200, 0, 2047),
        ("bytes=a-b", 200, 0, 2047),
        ("bytes=0-" + "9" * 400, 200, 0, 2047),
    ],
)
def test_ranges(client: Client, header: str, status: int, start: int, end: int) -> None:
    """One range is answered with its bytes; what is no range that we know, with the whole."""
    for algorithm in ("sha256", "sha512"):
        digest = client.push_blob(CONTENT, algorithm)
        answer = client.send("GET", f"{client.base}/blobs/{digest}", headers={"Range": header})
        assert answer.status == status
        assert answer.body == CONTENT[start : end + 1]
        assert answer["Content-Length"] == str(end - start + 1)
        assert answer["Content-Range"] == (f"bytes {start}-{end}/2048" if status == 206 else None)


@pytest.mark.parametrize("header", ["bytes=5000-10000", "bytes=2048-", "bytes=500-0", "bytes=-0"])
def test_ranges_outside(client: Client, header: str) -> None:
    """A range without a byte in it is 416, which tells the size."""
    digest = client.push_blob(CONTENT)
    answer = client.send("GET", f"{client.base}/blobs/{digest}", headers={"Range": header})
    assert answer.status == 416
    assert answer["Content-Range"] == "bytes */2048"


def test_a_resumed_pull_checks_what_it_resumes(client: Client) -> None:
    """If-Range with this blob's ETag gives the part, with another one the whole."""
    digest = client.push_blob(CONTENT)
    headers = {"Range": "bytes=2000-", "If-Range": f'"{digest}"'}
    assert client.send("GET", f"{client.base}/blobs/{digest}", headers=headers).status == 206
    headers["If-Range"] = f'"{MISSING}"'
    assert client.send("GET", f"{client.base}/blobs/{digest}", headers=headers).status == 200


def test_what_the_client_holds_is_not_sent_again(client: Client) -> None:
    """If-None-Match is 304 for a blob that is there, and 404 for one that is not."""
    digest = client.push_blob(CONTENT)
    held = {"If-None-Match": f'"{MISSING}", W/"{digest}"'}
    assert client.send("GET", f"{client.base}/blobs/{digest}", headers=held).status == 304
    absent = client.send("GET", f"{client.base}/blobs/{MISSING}", headers={"If-None-Match": f'"{MISSING}"'})
    assert absent.status == 404


def test_a_delete_hides_at_once(client: Client) -> None:
    """202, then 404 for everything; a second delete finds nothing; a push brings it back."""
    digest = client.push_blob(CONTENT)
    assert client.send("DELETE", f"{client.base}/blobs/{digest}").status == 202
    for method in ("HEAD", "GET", "DELETE"):
        assert client.send(method, f"{client.base}/blobs/{digest}").status == 404
    client.push_blob(CONTENT)
    assert client.send("GET", f"{client.base}/blobs/{digest}").body == CONTENT


def test_a_delete_leaves_other_repositories_alone(client: Client) -> None:
    """The same content elsewhere stays."""
    digest = client.push_blob(CONTENT)
    neighbour = Client(client.host, client.port, client.tls, client.password)
    neighbour.push_blob(CONTENT)
    assert client.send("DELETE", f"{client.base}/blobs/{digest}").status == 202
    assert neighbour.send("GET", f"{neighbour.base}/blobs/{digest}").body == CONTENT


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"blobs/{MISSING}", 404, "BLOB_UNKNOWN"),
        (f"blobs/{digest_of(b'never pushed', 'sha512')}", 404, "BLOB_UNKNOWN"),
        ("blobs/sha256:short", 400, "DIGEST_INVALID"),
        ("blobs/md5:" + "0" * 32, 400, "DIGEST_INVALID"),
        ("blobs/sha256:" + "G" * 64, 400, "DIGEST_INVALID"),
        (f"blobs/{MISSING}%0a", 400, "DIGEST_INVALID"),
        ("blobs/", 404, "NAME_UNKNOWN"),
    ],
)
def test_what_is_not_there(client: Client, path: str, status: int, code: str) -> None:
    """Unknown and unreadable digests, each with its code."""
    answer = client.send("GET", f"{client.base}/{path}")
    assert (answer.status, answer.code) == (status, code)


def test_methods_that_blobs_do_not_know(client: Client) -> None:
    """405, with what is allowed."""
    answer = client.send("PUT", f"{client.base}/blobs/{MISSING}")
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    assert answer["Allow"] == "GET, HEAD, DELETE"
