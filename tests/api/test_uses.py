"""Tokens with uses, over the wire: as clients push, at one replica and at two."""

from __future__ import annotations

import json
import shutil
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from registry_runtime.contract.credential import Password
from registry_runtime.contract.policy import Uses
from tests.api.client import OCI_IMAGE, OCI_INDEX, Answer, Client, basic, descriptor, digest_of
from tests.api.replica import EVERYTHING, ROBOT, Replica, closed, token
from tests.s3_server import S3Server

KINDS = {"directory": 1, "s3": 2, "s3-encrypted": 2}  # and how many replicas
MOST = 12  # tokens of each kind


@dataclass
class Place:
    """Replicas of one registry, and tokens that nobody has used yet."""

    replicas: list[Replica]
    tokens: dict[str, list[Password]]
    bucket: str

    def clients(self, kind: str) -> list[Client]:
        """One new token of this kind, at each replica, in a repository of its own."""
        password, repository = self.tokens[kind].pop(), f"team/{uuid.uuid4().hex[:12]}"
        return [self.client(password, repository, number) for number in range(len(self.replicas))]

    def client(self, password: Password, repository: str, number: int = 0) -> Client:
        return replace(self.replicas[number].client(password), repository=repository)


@pytest.fixture(scope="module", params=KINDS)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, server: S3Server
) -> Iterator[Place]:
    """Tokens of one use, of two, and of one that is bound."""
    kinds = {
        "one": Uses(limit=1),
        "two": Uses(limit=2),
        "bound": Uses(limit=1, repository="team/bound", tag="v1", bytes=2000),
    }
    tokens = {kind: [Password.generate(uuid.uuid4().hex[:16]) for _ in range(MOST)] for kind in kinds}
    policy = closed()
    for kind, passwords in tokens.items():
        for password in passwords:
            policy.tokens[password.id] = token(password, "ours", "team/**", EVERYTHING, uses=kinds[kind])
    directory = tmp_path_factory.mktemp("uses")
    bucket = f"uses-{request.param}"
    storage: dict[str, Any] = {"kind": "directory", "path": str(directory / "data")}
    if request.param != "directory":
        storage = server.bucket(bucket).model_dump(mode="json")
    first = Replica(directory / "first", storage, True, "encrypted" in request.param)
    first.directory.mkdir()
    first.prepare()
    first.set_policy(policy)
    replicas = [first]
    for number in range(1, KINDS[request.param]):
        shutil.copytree(first.directory, directory / str(number))
        other = replace(first, directory=directory / str(number), ports={}, process=None)
        other.authority = first.authority
        replicas.append(other)
    try:
        for one in replicas:
            one.start()
        yield Place(replicas, tokens, bucket)
    finally:
        for one in replicas:
            one.kill()


def image(client: Client, text: str = "") -> bytes:
    """The manifest of an image whose blobs were pushed as clients do: looked for first, in POST and PUT."""
    digests = []
    for content in (b"{}", f"layer {text}".encode()):
        assert client.send("HEAD", f"{client.base}/blobs/{digest_of(content)}").status in {200, 404}
        digests.append((client.push_blob(content), len(content)))
    (config, _), (layer, size) = digests
    named = {"config": descriptor("a/config", config, 2), "layers": [descriptor("a/layer", layer, size)]}
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_IMAGE, **named}).encode()


def index(*children: bytes) -> bytes:
    named = [descriptor(OCI_IMAGE, digest_of(child), len(child)) for child in children]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": named}).encode()


def tags(place: Place, client: Client) -> list[str]:
    robot = place.client(ROBOT, client.repository)
    return list(robot.send("GET", f"{robot.base}/tags/list").json()["tags"])


def spent(answer: Answer) -> None:
    assert (answer.status, answer.code) == (403, "DENIED")
    assert answer.json()["errors"][0]["message"] == "the AccessToken has no use left"


def test_one_image_as_buildx_pushes_it(place: Place) -> None:
    """Blobs, two images by digest, their index by tag, all at different replicas; and the answer again."""
    clients = place.clients("one")
    turns = cycle(clients)
    children = [image(next(turns), text) for text in ("amd64", "arm64")]
    both = index(*children)
    for child in children:
        assert next(turns).put_manifest(digest_of(child), child).status == 201
    for client in clients * 2:
        pushed = client.put_manifest("v1", both, OCI_INDEX)
        assert (pushed.status, pushed["Docker-Content-Digest"]) == (201, digest_of(both))
    for client in clients:
        assert client.send("GET", f"{client.base}/manifests/v1").body == both
    assert tags(place, clients[0]) == ["v1"]


def test_a_token_that_is_spent(place: Place) -> None:
    """No blob, no mount and no manifest, at any replica, also where an upload had begun; pulls go on."""
    first, *others = place.clients("one")
    begun = first.send("POST", f"{first.base}/blobs/uploads/").location
    content = image(first, "one")
    assert first.put_manifest("v1", content).status == 201
    other = image(place.client(ROBOT, first.repository), "two")
    digest = digest_of(b"layer two")
    for client in (first, *others):
        uploads = f"{client.base}/blobs/uploads/"
        spent(client.send("POST", uploads))
        spent(client.send("POST", f"{uploads}?digest={digest_of(b'x')}", b"x"))
        spent(client.send("POST", f"{uploads}?mount={digest}&from={client.repository}"))
        spent(client.send("PATCH", begun, b"x"))
        spent(client.send("PUT", f"{begun}?digest={digest_of(b'x')}", b"x"))
        spent(client.put_manifest("v2", content))
        spent(client.put_manifest("v2", other))
        spent(client.put_manifest(digest_of(other), other))
        spent(client.put_manifest(f"{digest_of(content)}?tag=v2", content))
        assert client.send("GET", f"{client.base}/manifests/v1").body == content
        assert client.send("GET", f"{client.base}/blobs/{digest_of(b'layer one')}").body == b"layer one"
    assert tags(place, first) == ["v1"]
    refusals = [line for line in place.replicas[0].lines("request") if line["status"] == 403]
    assert {line["reason"] for line in refusals if first.repository in line["path"]} == {"UsesSpent"}


def test_what_a_token_with_uses_never_does(place: Place) -> None:
    """It deletes nothing, whatever it is granted, and moves no tag; neither costs a use."""
    client = place.clients("one")[0]
    theirs = place.client(ROBOT, client.repository)
    first, second = image(theirs, "one"), image(theirs, "two")
    assert theirs.put_manifest("v1", first).status == 201
    for path in ("manifests/v1", f"manifests/{digest_of(first)}", f"blobs/{digest_of(b'layer one')}"):
        assert client.password is not None
        refused = client.send("DELETE", f"{client.base}/{path}", headers=basic(client.password))
        assert (refused.status, refused.code) == (403, "DENIED")
    refused = client.put_manifest("v1", second)
    assert (refused.status, refused.code) == (403, "DENIED")
    assert "sets new tags only" in refused.json()["errors"][0]["message"]
    assert client.put_manifest("v2", second).status == 201


def test_pushes_that_race(place: Place) -> None:
    """Eight at once, of different images with different tags, at all replicas: exactly one is there."""
    clients = place.clients("one")
    contents = [image(client, str(number)) for number, client in zip(range(8), cycle(clients), strict=False)]
    answers: dict[str, int] = {}
    start = threading.Barrier(len(contents))

    def push(client: Client, number: int) -> None:
        start.wait()
        answers[f"v{number}"] = client.put_manifest(f"v{number}", contents[number]).status

    pushing = [
        threading.Thread(target=push, args=(client, number), daemon=True)
        for number, client in zip(range(8), cycle(clients), strict=False)
    ]
    for one in pushing:
        one.start()
    for one in pushing:
        one.join(60)
    (winner,) = [tag for tag, status in answers.items() if status == 201]
    assert sorted(answers.values()) == [201] + [403] * 7
    assert tags(place, clients[0]) == [winner]
    for number, content in enumerate(contents):
        found = clients[0].send("HEAD", f"{clients[0].base}/manifests/{digest_of(content)}").status
        assert found == (200 if f"v{number}" == winner else 404)


def test_two_uses(place: Place) -> None:
    """Each tag of a list is one; three are too many, and none of them is set."""
    client = place.clients("two")[-1]
    content = image(client)
    path = digest_of(content)
    refused = client.put_manifest(f"{path}?tag=a&tag=b&tag=c", content)
    assert (refused.status, refused.code) == (403, "DENIED")
    assert client.send("HEAD", f"{client.base}/manifests/{path}").status == 404
    pushed = client.put_manifest(f"{path}?tag=a&tag=b", content)
    assert (pushed.status, pushed.headers.get_all("OCI-Tag")) == (201, ["a", "b"])
    spent(client.put_manifest("c", content))
    assert tags(place, client) == ["a", "b"]


def test_bounds(place: Place) -> None:
    """One repository, one tag, so many bytes: each refusal names the bound, and takes no use."""
    elsewhere = place.clients("bound")[0]
    answer = elsewhere.send("POST", f"{elsewhere.base}/blobs/uploads/")
    assert (answer.status, answer.code) == (403, "DENIED")
    assert "team/bound only" in answer.json()["errors"][0]["message"]
    client = replace(elsewhere, repository="team/bound", _bearers={})
    content, large = image(client), image(client, "x" * 2000)
    for tag, manifest, sentence in (("v2", content, "v1 only"), ("v1", large, "2000")):
        answer = client.put_manifest(tag, manifest)
        assert (answer.status, answer.code) == (403, "DENIED")
        assert sentence in answer.json()["errors"][0]["message"]
    assert client.put_manifest("v1", content).status == 201


def test_what_the_bucket_tells_of_a_use(place: Place, server: S3Server) -> None:
    """That there is one; and of which image, unless the bucket is encrypted."""
    client = place.clients("one")[0]
    content = image(client)
    assert client.put_manifest("a-tag", content).status == 201
    records = uses(place, server)
    assert records
    for told in (b"a-tag", digest_of(content).encode()):
        assert any(told in record for record in records) is not place.replicas[0].encrypted


def uses(place: Place, server: S3Server) -> list[bytes]:
    """The records of all uses, as they lie in the storage."""
    storage = place.replicas[0].storage
    if storage["kind"] == "directory":
        return [file.read_bytes() for file in Path(storage["path"]).glob("**/uses/*") if file.is_file()]
    bucket = server.client()
    listed = bucket.list_objects_v2(Bucket=place.bucket, Prefix="tokens/")["Contents"]
    return [bucket.get_object(Bucket=place.bucket, Key=entry["Key"])["Body"].read() for entry in listed]
