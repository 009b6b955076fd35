"""Several replicas on one bucket: every request may reach another one, and any of them may die."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from http.client import HTTPException

import pytest

from tests.api.accounts import enforce
from tests.api.client import CONFIG, OCI_IMAGE, OCI_INDEX, OCTETS, Client, descriptor, digest_of
from tests.api.replica import Replica, closed
from tests.s3_server import S3Server

CONTENT = os.urandom(13 * 1024 * 1024)  # more than one part of a multipart upload
STEP = 3_000_001
DIGEST = digest_of(CONTENT)


@pytest.fixture(scope="module", params=["s3-secure", "s3-secure-encrypted"])
def replicas(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, server: S3Server
) -> Iterator[list[Replica]]:
    """Three, with the same accounts and the same signing key."""
    storage = server.bucket(f"replicas-{request.param}").model_dump(mode="json")
    first = Replica(tmp_path_factory.mktemp("first"), storage, True, "encrypted" in request.param)
    first.prepare()
    made = [first]
    for name in ("second", "third"):
        directory = tmp_path_factory.mktemp("others") / name
        shutil.copytree(first.directory, directory)
        other = replace(first, directory=directory, ports={}, process=None)
        other.authority = first.authority
        made.append(other)
    try:
        for one in made:
            one.start()
        yield made
    finally:
        for one in made:
            one.kill()


@pytest.fixture
def clients(replicas: list[Replica]) -> list[Client]:
    """The same user at each of them."""
    first, *others = (one.client() for one in replicas)
    return [first, *(replace(other, repository=first.repository) for other in others)]


def begin(client: Client) -> str:
    return client.send("POST", f"{client.base}/blobs/uploads/").location


def chunk(client: Client, location: str, start: int) -> None:
    content = CONTENT[start : start + STEP]
    headers = {"Content-Range": f"{start}-{start + len(content) - 1}", "Content-Type": OCTETS}
    answer = client.send("PATCH", location, content, headers)
    assert (answer.status, answer["Range"]) == (202, f"0-{start + len(content) - 1}")


def pulled_everywhere(clients: Sequence[Client], path: str, content: bytes) -> None:
    for client in clients:
        assert client.send("GET", f"{client.base}/{path}").body == content


def test_each_chunk_may_meet_another_replica(clients: list[Client]) -> None:
    """In turn through all of them, closed by one that saw the fewest, pulled from every one."""
    location = begin(clients[2])
    for number, start in enumerate(range(0, len(CONTENT), STEP)):
        chunk(clients[number % 3], location, start)
    assert clients[2].send("PUT", f"{location}?digest={DIGEST}").status == 201
    pulled_everywhere(clients, f"blobs/{DIGEST}", CONTENT)


def test_a_replica_is_killed_between_chunks(replicas: list[Replica], clients: list[Client]) -> None:
    """kill -9 after it took two chunks: the others know where to go on, and lose nothing."""
    location = begin(clients[0])
    chunk(clients[0], location, 0)
    chunk(clients[0], location, STEP)
    replicas[0].kill()
    try:
        assert clients[1].send("GET", location)["Range"] == f"0-{2 * STEP - 1}"
        for number, start in enumerate(range(2 * STEP, len(CONTENT), STEP)):
            chunk(clients[1 + number % 2], location, start)
        assert clients[1].send("PUT", f"{location}?digest={DIGEST}").status == 201
        pulled_everywhere(clients[1:], f"blobs/{DIGEST}", CONTENT)
    finally:
        replicas[0].start()


def test_a_replica_is_killed_in_a_chunk(replicas: list[Replica], clients: list[Client]) -> None:
    """kill -9 while a chunk is on its way: whatever of it counts is told, and the rest follows elsewhere."""
    location = begin(clients[1])
    chunk(clients[1], location, 0)

    def body() -> Iterator[bytes]:
        yield CONTENT[STEP : 3 * STEP]
        replicas[1].kill()
        yield CONTENT[3 * STEP :]

    clients[1].send("PATCH", location, b"")  # so that the bearer is there
    with pytest.raises((OSError, HTTPException)):  # as the kill met it
        clients[1].send("PATCH", location, body())
    try:
        told = clients[2].send("GET", location)["Range"]
        assert told is not None
        received = int(told.partition("-")[2]) + 1
        assert STEP <= received <= len(CONTENT)
        rest = clients[0].send("PATCH", location, CONTENT[received:], {"Content-Type": OCTETS})
        assert rest.status == 202
        assert clients[2].send("PUT", f"{location}?digest={DIGEST}").status == 201
        pulled_everywhere((clients[0], clients[2]), f"blobs/{DIGEST}", CONTENT)
    finally:
        replicas[1].start()


def test_a_commit_is_repeated_elsewhere(clients: list[Client]) -> None:
    """Its answer was lost, so the client asks the next replica, and the next: 201, and again 201."""
    location = begin(clients[0])
    clients[0].send("PATCH", location, CONTENT, {"Content-Type": OCTETS})
    answers = [client.send("PUT", f"{location}?digest={DIGEST}") for client in clients]
    assert [(answer.status, answer.location) for answer in answers] == [(201, answers[0].location)] * 3


def test_the_same_blob_from_all_sides_at_once(clients: list[Client]) -> None:
    """Every client is told that its push went well, and the blob is whole at every replica."""
    content = os.urandom(6 * 1024 * 1024)
    digest = digest_of(content)
    statuses: list[int] = []

    def push(client: Client) -> None:
        location = begin(client)
        statuses.append(client.send("PUT", f"{location}?digest={digest}", content).status)

    pushing = [threading.Thread(target=push, args=(client,), daemon=True) for client in clients * 2]
    for one in pushing:
        one.start()
    for one in pushing:
        one.join(60)
    assert statuses == [201] * 6
    pulled_everywhere(clients, f"blobs/{digest}", content)


def test_a_delete_hides_at_every_replica_at_once(clients: list[Client]) -> None:
    """Each has read the image just now; the first HEAD after the answer is 404, and siblings stay."""
    digest, content = clients[0].push_image("v1")
    sibling, other = clients[1].push_image("v2")
    index = json.dumps(
        {
            "schemaVersion": 2,
            "manifests": [descriptor(OCI_IMAGE, digest, 1), descriptor(OCI_IMAGE, sibling, 1)],
        }
    ).encode()
    assert clients[2].put_manifest("both", index, OCI_INDEX).status == 201
    for reference in ("v1", digest):
        pulled_everywhere(clients, f"manifests/{reference}", content)
    assert clients[0].send("DELETE", f"{clients[0].base}/manifests/{digest}").status == 202
    for client in clients[::-1]:
        for reference in ("v1", digest):
            assert client.send("HEAD", f"{client.base}/manifests/{reference}").status == 404
        assert client.send("GET", f"{client.base}/tags/list").json()["tags"] == ["both", "v2"]
    for reference, expected in (("v2", other), (sibling, other), ("both", index)):
        pulled_everywhere(clients, f"manifests/{reference}", expected)


def test_a_tag_moves_at_every_replica_at_once(clients: list[Client]) -> None:
    """No replica serves the manifest that the tag named before the push was answered."""
    for number in range(6):
        digest, content = clients[number % 3].push_image("latest", annotations={"n": str(number)})
        for client in clients:
            answer = client.send("GET", f"{client.base}/manifests/latest")
            assert (answer["Docker-Content-Digest"], answer.body) == (digest, content)


def test_what_is_private_only_is_so_at_every_replica(replicas: list[Replica], clients: list[Client]) -> None:
    """Pulled just now at each with a bearer that stays good; refused at each, and served again."""
    digest, content = clients[0].push_image("latest")
    path = f"{clients[0].base}/manifests/{digest}"
    pulled_everywhere(clients, f"manifests/{digest}", content)
    enforce(closed().model_copy(update={"private_only": True}), *replicas)
    try:
        assert [client.send("GET", path).status for client in clients] == [403] * 3
        private = [one.client(listener="private") for one in replicas]
        assert [client.send("GET", path).body for client in private] == [content] * 3
    finally:
        enforce(closed(), *replicas)
    pulled_everywhere(clients, f"manifests/{digest}", content)


def test_a_deleted_blob_is_gone_at_every_replica(clients: list[Client]) -> None:
    """And a manifest that needs it is refused by each, until it is pushed again."""
    config = clients[0].push_blob(b'{"of": "a test"}')
    pulled_everywhere(clients, f"blobs/{config}", b'{"of": "a test"}')
    named = {"config": descriptor(CONFIG, config, 16), "layers": []}
    manifest = json.dumps({"schemaVersion": 2, **named}).encode()
    assert clients[1].send("DELETE", f"{clients[1].base}/blobs/{config}").status == 202
    for client in clients:
        assert client.send("HEAD", f"{client.base}/blobs/{config}").status == 404
        assert client.put_manifest("v1", manifest).code == "MANIFEST_BLOB_UNKNOWN"
    clients[2].push_blob(b'{"of": "a test"}')
    assert clients[0].put_manifest("v1", manifest).status == 201
