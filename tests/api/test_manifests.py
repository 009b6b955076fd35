"""Manifests: pushed, pulled, tagged, deleted, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.api.client import CONFIG, LAYER, OCI_IMAGE, OCI_INDEX, Client, descriptor, digest_of

DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MISSING = digest_of(b"never pushed")


def image(client: Client, media_type: str = OCI_IMAGE, **more: Any) -> bytes:
    """The manifest of an image whose blobs are there; its bytes have spaces, to be kept as they are."""
    config = descriptor(CONFIG, client.push_blob(b"{}"), 2)
    document = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [], **more}
    return json.dumps(document, indent=3).encode() + b"\n"


def index(*children: tuple[str, bytes], media_type: str = OCI_INDEX, **more: Any) -> bytes:
    manifests = [descriptor(OCI_IMAGE, digest, len(content)) for digest, content in children]
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests, **more}).encode()


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_by_digest(client: Client, algorithm: str) -> None:
    """What is put under its digest comes back byte for byte, with its type; HEAD tells the same."""
    content = image(client)
    digest = digest_of(content, algorithm)
    pushed = client.put_manifest(digest, content)
    assert (pushed.status, pushed["Docker-Content-Digest"]) == (201, digest)
    pulled = client.send("GET", pushed.location)
    looked = client.send("HEAD", pushed.location)
    for answer in (pulled, looked):
        assert answer.status == 200
        assert answer["Content-Type"] == OCI_IMAGE
        assert answer["Content-Length"] == str(len(content))
        assert answer["Docker-Content-Digest"] == digest
    assert (pulled.body, looked.body) == (content, b"")


def test_by_tag(client: Client) -> None:
    """A tag names the manifest last put under it; the one before stays under its digest."""
    first, second = image(client), image(client, annotations={"order": "second"})
    for content in (first, second):
        pushed = client.put_manifest("latest", content)
        assert pushed.location == f"{client.base}/manifests/{digest_of(content)}"
        assert client.send("GET", f"{client.base}/manifests/latest").body == content
    assert client.send("GET", f"{client.base}/manifests/{digest_of(first)}").body == first


@pytest.mark.parametrize("media_type", [OCI_IMAGE, DOCKER_IMAGE])
def test_types_of_images(client: Client, media_type: str) -> None:
    """OCI's and Docker's manifests keep their type, parameters left away."""
    content = image(client, media_type)
    assert client.put_manifest("v1", content, f"{media_type}; charset=utf-8").status == 201
    assert client.send("GET", f"{client.base}/manifests/v1")["Content-Type"] == media_type


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_types_of_indexes(client: Client, media_type: str) -> None:
    """An index of two images, an empty one, one of indexes, and one whose child is not there."""
    children = [client.push_image(annotations={"n": str(n)}) for n in range(2)]
    for number, content in enumerate(
        [
            index(*children, media_type=media_type),
            index(media_type=media_type),
            index((digest_of(index(*children)), index(*children)), media_type=media_type),
            index((MISSING, b"12"), media_type=media_type),
        ]
    ):
        assert client.put_manifest(f"i{number}", content, media_type).status == 201
        assert client.send("GET", f"{client.base}/manifests/i{number}").body == content


def test_tags_of_the_query(client: Client) -> None:
    """A manifest put by digest takes all the tags of the query, and each is told."""
    content = image(client)
    tags = [f"1.{n}" for n in range(12)]
    query = "&".join(f"tag={tag}" for tag in [*tags, tags[0]])
    answer = client.put_manifest(f"{digest_of(content)}?{query}", content)
    assert answer.status == 201
    assert answer.headers.get_all("OCI-Tag") == tags
    for tag in tags:
        assert client.send("GET", f"{client.base}/manifests/{tag}").body == content


def test_tags_of_the_query_are_for_digests(client: Client) -> None:
    """Where a tag is put, the query sets no others, and does not say that it did."""
    answer = client.put_manifest("latest?tag=other", image(client))
    assert (answer.status, answer["OCI-Tag"]) == (201, None)
    assert client.send("GET", f"{client.base}/manifests/other").status == 404


def test_a_large_manifest(client: Client) -> None:
    """Four mebibytes are taken, as the specification wants."""
    content = image(client, annotations={f"a{n}": "A" * 10_000 for n in range(410)})
    assert 4_000_000 < len(content) < 4 * 1024 * 1024 + 65536
    assert client.put_manifest("large", content).status == 201
    assert client.send("GET", f"{client.base}/manifests/large").body == content


def test_too_large_a_manifest(client: Client) -> None:
    """413 by the Content-Length alone, and while a chunked one is still coming."""
    size = 5 * 1024 * 1024
    assert client.put_manifest("huge", b"x" * size).status == 413
    chunks = iter([b"x" * 65536] * (size // 65536))
    path = f"{client.base}/manifests/huge"
    answer = client.send("PUT", path, chunks, {"Content-Type": OCI_IMAGE})
    assert answer.status in {401, 413}  # a bearer is asked for first, where there are accounts
    assert client.send("GET", path).status == 404


def test_an_image_without_layers_and_other_fields(client: Client) -> None:
    """Fields that nobody knows, data in descriptors, artifact types: kept as they are."""
    content = image(client, custom={"deep": [1, 2]}, artifactType="application/vnd.example", layers=[])
    assert client.put_manifest("odd", content).status == 201
    assert client.send("GET", f"{client.base}/manifests/odd").body == content


def test_foreign_layers_need_not_be_there(client: Client) -> None:
    """A layer with URLs lies elsewhere."""
    kind = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    layer = descriptor(kind, MISSING, 5) | {"urls": ["https://store.example.com/x"]}
    assert client.put_manifest("foreign", image(client, layers=[layer])).status == 201


def test_a_missing_blob(client: Client) -> None:
    """404 MANIFEST_BLOB_UNKNOWN that names it; nothing can be pulled, and pushing it mends it."""
    content = image(client, layers=[descriptor(LAYER, digest_of(b"late"), 4)])
    answer = client.put_manifest("late", content)
    assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert digest_of(b"late") in answer.body.decode()
    assert client.send("GET", f"{client.base}/manifests/late").status == 404
    client.push_blob(b"late")
    assert client.put_manifest("late", content).status == 201


def test_an_image_that_may_lack_blobs(client: Client) -> None:
    """Where its Namespace allows it, a manifest is taken before its layers, and pulled as it is."""
    mirror = replace(client, repository=client.repository.replace("team/", "mirror/"))
    content = image(mirror, layers=[descriptor(LAYER, MISSING, 4)])
    assert mirror.put_manifest("sparse", content).status == 201
    assert mirror.send("GET", f"{mirror.base}/manifests/sparse").body == content
    assert mirror.send("HEAD", f"{mirror.base}/blobs/{MISSING}").status == 404


def test_an_index_that_must_be_complete(client: Client) -> None:
    """Where its Namespace wants it, an index is refused until all that it names is there."""
    strict = replace(client, repository=client.repository.replace("team/", "strict/"))
    content = image(strict)
    child = (digest_of(content), content)
    answer = strict.put_manifest("multi", index(child), OCI_INDEX)
    assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert answer.json()["errors"][0]["detail"] == [{"digest": child[0]}]
    assert strict.send("GET", f"{strict.base}/manifests/multi").status == 404
    assert strict.put_manifest(*child).status == 201
    assert strict.put_manifest("multi", index(child), OCI_INDEX).status == 201


def test_a_blob_of_another_repository_is_not_there(client: Client) -> None:
    """Blobs are told apart by repository: nothing is pulled in by naming its digest."""
    neighbour = Client(client.host, client.port, client.tls, client.password)
    layer = descriptor(LAYER, neighbour.push_blob(b"theirs only"), 11)
    answer = client.put_manifest("stolen", image(client, layers=[layer]))
    assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")


def test_deleting_a_tag(client: Client) -> None:
    """The tag goes, its siblings and the manifest stay."""
    digest, content = client.push_image("one")
    client.put_manifest("two", content)
    assert client.send("DELETE", f"{client.base}/manifests/one").status == 202
    assert client.send("GET", f"{client.base}/manifests/one").status == 404
    for reference in ("two", digest):
        assert client.send("GET", f"{client.base}/manifests/{reference}").body == content
    assert client.send("DELETE", f"{client.base}/manifests/one").status == 404


def test_deleting_a_manifest(client: Client) -> None:
    """It goes with all its tags at once, other manifests stay, and a push brings it back."""
    digest, content = client.push_image("one")
    client.put_manifest("two", content)
    other, other_content = client.push_image("three")
    assert client.send("DELETE", f"{client.base}/manifests/{digest}").status == 202
    for reference in ("one", "two", digest):
        assert client.send("HEAD", f"{client.base}/manifests/{reference}").status == 404
    assert client.send("GET", f"{client.base}/manifests/{other}").body == other_content
    assert client.put_manifest("one", content).status == 201
    assert client.send("GET", f"{client.base}/manifests/one").body == content


def test_deleting_an_index_keeps_its_children(client: Client) -> None:
    """Images that an index names are manifests of their own."""
    child = client.push_image()
    content = index(child)
    client.put_manifest("multi", content, OCI_INDEX)
    assert client.send("DELETE", f"{client.base}/manifests/{digest_of(content)}").status == 202
    assert client.send("GET", f"{client.base}/manifests/{child[0]}").body == child[1]


def test_what_the_client_holds_is_not_sent_again(client: Client) -> None:
    """If-None-Match with the digest is 304, by tag too, until the tag moves."""
    digest, _ = client.push_image("latest")
    held = {"If-None-Match": f'"{digest}"'}
    for method in ("GET", "HEAD"):
        assert client.send(method, f"{client.base}/manifests/latest", headers=held).status == 304
    client.push_image("latest")
    assert client.send("GET", f"{client.base}/manifests/latest", headers=held).status == 200


GARBAGE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"\xff\xfe",
    b"{}",
    b'{"schemaVersion": 1}',
    b'{"schemaVersion": 2, "manifests": 5}',
    b'{"schemaVersion": 2, "config": 5, "layers": []}',
    b'{"schemaVersion": 2, "config": {"digest": "x", "size": 1, "mediaType": "y"}}',
    b'{"schemaVersion": 2, "mediaType": "application/other", "config": null}',
    b'{"schemaVersion": NaN}',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"schemaVersion": 2, "schemaVersion": 2}',
    b'{"schemaVersion": ' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("content", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("media_type", [OCI_IMAGE, OCI_INDEX])
def test_garbage(client: Client, content: bytes, media_type: str) -> None:
    """400 MANIFEST_INVALID with a sentence, never a 500, and nothing to be seen afterwards."""
    answer = client.put_manifest("garbage", content, media_type)
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
    assert client.send("GET", f"{client.base}/manifests/garbage").status == 404


@pytest.mark.parametrize("media_type", ["", "text/html", "application/json", "x" * 3000])
def test_types_that_are_none(client: Client, media_type: str) -> None:
    """Only types of images and indexes are manifests."""
    answer = client.put_manifest("v1", image(client), media_type)
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")


@pytest.mark.parametrize(
    ("reference", "status", "code"),
    [
        (MISSING, 400, "DIGEST_INVALID"),
        ("sha256:short", 400, "DIGEST_INVALID"),
        ("-tag", 400, "TAG_INVALID"),
        ("t" * 129, 400, "TAG_INVALID"),
        ("t%0a", 400, "TAG_INVALID"),
        ("%C3%A4", 400, "TAG_INVALID"),
        (f"{MISSING}?tag=-bad", 400, "TAG_INVALID"),
    ],
)
def test_wrong_references(client: Client, reference: str, status: int, code: str) -> None:
    """A digest that is another one's, and tags that are none."""
    answer = client.put_manifest(reference, image(client))
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize("reference", ["missing", MISSING])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_is_not_there(client: Client, method: str, reference: str) -> None:
    """404, in a repository with content and in one without."""
    for _ in range(2):
        answer = client.send(method, f"{client.base}/manifests/{reference}")
        assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")
        client.push_image()


def test_methods_that_manifests_do_not_know(client: Client) -> None:
    """405, with what is allowed."""
    answer = client.send("POST", f"{client.base}/manifests/latest", b"x")
    assert (answer.status, answer["Allow"]) == (405, "GET, HEAD, PUT, DELETE")
