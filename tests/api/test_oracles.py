"""Nothing tells whether something exists to who may not see it: no status, no word, no header, no work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.api.accounts import shown, their_image
from tests.api.client import CONFIG, LAYER, OCI_IMAGE, OCI_INDEX, Client, basic, descriptor, digest_of
from tests.api.conftest import storage_of
from tests.api.replica import READER, ROBOT, Replica
from tests.s3_proxy import Proxy, s3_proxy
from tests.s3_server import s3_server

MISSING = digest_of(b"never pushed")


@pytest.fixture(scope="module", params=["directory-secure", "s3-secure-encrypted"])
def replica(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    directory = tmp_path_factory.mktemp("oracles")
    storage = storage_of(request, directory, "oracles")
    with Replica(directory, storage, True, "encrypted" in request.param) as running:
        yield running


@pytest.fixture
def theirs(replica: Replica) -> Client:
    return their_image(replica)


def manifest_of(config: str, layer: str) -> bytes:
    document = {"config": descriptor(CONFIG, config, 2), "layers": [descriptor(LAYER, layer, 16)]}
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_IMAGE, **document}).encode()


def test_not_there_and_not_yours_are_one_answer(replica: Replica, theirs: Client) -> None:
    """Every request of content: the same to the last header, for theirs, for nothing, for nobody's name."""
    image = theirs.send("HEAD", f"{theirs.base}/manifests/latest")["Docker-Content-Digest"]
    blob = json.loads(theirs.send("GET", f"{theirs.base}/manifests/latest").body)["layers"][0]["digest"]
    session = theirs.send("POST", f"{theirs.base}/blobs/uploads/").location.rpartition("/")[2]
    kind = {"Content-Type": OCI_IMAGE}
    us = replica.client()
    for method, path, body in [
        *((method, "manifests/latest", b"") for method in ("GET", "HEAD", "DELETE")),
        *((method, f"manifests/{image}", b"") for method in ("GET", "HEAD", "DELETE")),
        *((method, f"blobs/{blob}", b"") for method in ("GET", "HEAD", "DELETE")),
        ("GET", "tags/list", b""),
        ("GET", "tags/list?n=1&last=a", b""),
        ("GET", f"referrers/{image}", b""),
        ("PUT", "manifests/latest", b"{}"),
        ("POST", "blobs/uploads/", b""),
        ("POST", f"blobs/uploads/?mount={blob}&from={us.repository}", b""),
        *((method, f"blobs/uploads/{session}", b"") for method in ("GET", "PATCH", "DELETE")),
        ("PUT", f"blobs/uploads/{session}?digest={blob}", b""),
    ]:  # fmt: skip
        for headers in (basic(ROBOT.text), basic(READER.text), {}):
            seen = {
                shown(us.raw(method, f"/v2/{name}/{path}", body, {**headers, **kind}), name)
                for name in ("foreign/secret", "foreign/nothing", "nobody/nothing")
            }
            assert len(seen) == 1, (method, path, seen)
            assert seen.pop()[0] == (403 if headers else 401)


def test_a_mount_tells_nothing_of_its_source(replica: Replica, theirs: Client) -> None:
    """Theirs, theirs that is not there, ours that is not there, nobody's: an upload begins, word for word."""
    digest = theirs.push_blob(b"seen by its own account")
    us = replica.client()
    seen = set()
    for source, wanted in [
        ("foreign/secret", digest),
        ("foreign/secret", MISSING),
        ("foreign/nothing", digest),
        ("team/nothing", digest),
        ("nobody/nothing", digest),
        ("../foreign/secret", digest),
        (None, digest),
        (None, MISSING),
    ]:
        query = urlencode({"mount": wanted, **({"from": source} if source else {})})
        answer = us.send("POST", f"{us.base}/blobs/uploads/?{query}")
        uuid = answer.location.rpartition("/")[2]
        seen.add(shown(answer, uuid))
    assert len(seen) == 1, seen
    assert us.send("HEAD", f"{us.base}/blobs/{digest}").status == 404


def test_what_is_theirs_cannot_be_named_into_ours(replica: Replica, theirs: Client) -> None:
    """A manifest of their blobs, an index of their images, a commit of their digest: as with made-up ones."""
    image = json.loads(theirs.send("GET", f"{theirs.base}/manifests/latest").body)
    there = (image["config"]["digest"], image["layers"][0]["digest"])
    us = replace(replica.client(), repository="strict/fresh")
    nowhere = (digest_of(b"no config"), digest_of(b"no layer"))
    pairs = (there, (there[0], nowhere[1]), nowhere)
    answers = {shown(us.put_manifest("x", manifest_of(*pair)), *pair) for pair in pairs}
    assert {status for status, _ in answers} == {404}
    assert len(answers) == 1, answers

    digest = theirs.send("HEAD", f"{theirs.base}/manifests/latest")["Docker-Content-Digest"] or ""
    seen = set()
    for child in (digest, MISSING):
        named = {"manifests": [descriptor(OCI_IMAGE, child, 1)], "mediaType": OCI_INDEX}
        content = json.dumps({"schemaVersion": 2, **named}).encode()
        seen.add(shown(us.put_manifest("x", content, OCI_INDEX), child))
    assert len(seen) == 1, seen
    for wanted in (there[1], MISSING):
        session = us.send("POST", f"{us.base}/blobs/uploads/").location
        answer = us.send("PUT", f"{session}?digest={wanted}", b"something else")
        assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


def test_a_session_of_theirs_is_unknown_under_our_name(replica: Replica, theirs: Client) -> None:
    """Its id is a secret, and even who has it gets nothing of it."""
    session = theirs.send("POST", f"{theirs.base}/blobs/uploads/").location
    theirs.send("PATCH", session, b"half of it")
    us = replica.client()
    uuid = session.rpartition("/")[2]
    for method, query in (("GET", ""), ("PATCH", ""), ("PUT", f"?digest={MISSING}"), ("DELETE", "")):
        body = b"" if method == "GET" else b"x"
        seen = {
            shown(us.send(method, f"{us.base}/blobs/uploads/{one}{query}", body), one)
            for one in (uuid, f"{uuid[:-1]}{'0' if uuid[-1] != '0' else '1'}")
        }
        assert len(seen) == 1, seen
        assert seen.pop()[0] == 404
    assert theirs.send("GET", session)["Range"] == "0-9"


def test_pages_of_the_catalog_tell_nothing_of_others(replica: Replica, theirs: Client) -> None:
    """Where theirs begin and how many they are shows in no page, no link and no count."""
    for number in range(3):
        replace(theirs, repository=f"foreign/many-{number}").push_image("latest")
    own = replica.client()
    own.push_image("latest")
    ours, after = [], ""
    while True:
        answer = own.send("GET", f"/v2/_catalog?{urlencode({'n': 1, 'last': after})}")
        ours += answer.json()["repositories"]
        if answer["Link"] is None:
            break
        after = ours[-1]
    assert own.repository in ours
    assert not [name for name in ours if name.startswith("foreign")]
    last = own.send("GET", "/v2/_catalog?n=100&last=foreign/many-0").json()["repositories"]
    assert last == [name for name in ours if name > "foreign/many-0"]


async def test_what_may_not_be_seen_costs_what_is_not_there(tmp_path: Path) -> None:
    """The bucket is asked the same, or nothing at all, so that time tells no more than the answer does."""
    with s3_server(tmp_path / "s3", tls=False) as server:
        async with s3_proxy(server) as (proxy, through):
            server.bucket("oracles")
            storage = through.settings("oracles").model_dump(mode="json")
            own = Replica(tmp_path / "replica", storage, secure=True)
            await asyncio.to_thread(compare_costs, own, proxy)


def compare_costs(own: Replica, proxy: Proxy) -> None:
    with own:
        theirs = their_image(own)
        digest = theirs.push_blob(b"seen by its own account")
        us = own.client()
        us.send("POST", f"{us.base}/blobs/uploads/")  # so that the bearer is there

        def asked(method: str, path: str) -> list[str]:
            proxy.seen.clear()
            us.send(method, path)
            return [one.split()[0] for one in proxy.seen if "probe" not in one and "roadstead" not in one]

        for method, path in (("GET", "manifests/latest"), ("GET", f"blobs/{digest}"), ("GET", "tags/list")):
            for name in ("foreign/secret", "foreign/nothing", "nobody/nothing"):
                assert asked(method, f"/v2/{name}/{path}") == []
        mounts = [f"mount={digest}&from=foreign/secret", f"mount={digest}&from=foreign/nothing"]
        assert [asked("POST", f"{us.base}/blobs/uploads/?{query}") for query in mounts] == [[], []]
        anywhere = [asked("POST", f"{us.base}/blobs/uploads/?mount={one}") for one in (digest, MISSING)]
        assert anywhere == [["GET"], ["GET"]]
