"""What the private domain alone serves: refused in public, whoever asks and however; served in private."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from registry_runtime.contract.credential import Password
from tests.api.accounts import enforce, refusal
from tests.api.client import CONFIG, OCI_IMAGE, Answer, Client, basic, descriptor, digest_of
from tests.api.conftest import storage_of
from tests.api.replica import READER, ROBOT, Replica, closed
from tests.api.test_access import access, bearer
from tests.api.test_access import token as asked_for

PRIVATE_ONLY = "only the private domain of this registry serves this: use its host name"
CONTENT = b"{}"  # the config of every image of these tests


@pytest.fixture(scope="module", params=["directory-secure", "s3-secure-encrypted"])
def replica(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    directory = tmp_path_factory.mktemp("private")
    storage = storage_of(request, directory, "private")
    with Replica(directory, storage, True, "encrypted" in request.param) as running:
        yield running


@pytest.fixture(autouse=True)
def usual_policy(replica: Replica) -> Iterator[None]:
    yield
    enforce(closed(), replica)


def everything_of(client: Client, image: str, headers: dict[str, str]) -> list[tuple[str, Answer]]:
    """Every request of content: pull, push, delete, lists, and both kinds of signatures."""
    base, digest = client.base, digest_of(CONTENT)
    signed = {"schemaVersion": 2, "mediaType": OCI_IMAGE, "config": descriptor(CONFIG, digest, 2)}
    manifest = json.dumps({**signed, "layers": [], "subject": descriptor(OCI_IMAGE, image, 1)}).encode()
    kind = {**headers, "Content-Type": OCI_IMAGE}
    return [
        (f"{method} {path}", client.raw(method, path, body, kind if body else headers))
        for method, path, body in [
            ("GET", f"{base}/manifests/latest", b""),
            ("GET", f"{base}/manifests/{image}", b""),
            ("GET", f"{base}/blobs/{digest}", b""),
            ("GET", f"{base}/tags/list", b""),
            ("GET", f"{base}/referrers/{image}", b""),
            ("PUT", f"{base}/manifests/{digest_of(manifest)}", manifest),
            ("PUT", f"{base}/manifests/{image.replace(':', '-')}.sig", manifest),
            ("GET", f"{base}/manifests/{image.replace(':', '-')}.sig", b""),
            ("POST", f"{base}/blobs/uploads/", b""),
            ("POST", f"{base}/blobs/uploads/?digest={digest}", CONTENT),
            ("POST", f"{base}/blobs/uploads/?mount={digest}&from={client.repository}", b""),
            ("DELETE", f"{base}/manifests/latest", b""),
        ]
    ]


def test_a_private_registry_refuses_in_public(replica: Replica) -> None:
    """DENIED and a sentence for all content, whatever Host is claimed; logins still work."""
    public, private = replica.client(), replica.client(listener="private")
    image, _ = public.push_image("latest")
    private = replace(private, repository=public.repository)
    path = f"{public.base}/manifests/latest"
    session = public.send("POST", f"{public.base}/blobs/uploads/").location
    bearers = public._bearers.copy()
    enforce(closed().model_copy(update={"private_only": True}), replica)

    for request, answer in everything_of(public, image, basic(ROBOT.text)):
        assert refusal(answer) == PRIVATE_ONLY, request
    assert refusal(public.raw("GET", "/v2/_catalog", headers=basic(ROBOT.text))) == PRIVATE_ONLY
    assert refusal(public.raw("PATCH", session, b"x", {"Authorization": next(iter(bearers.values()))}))
    assert public.raw("HEAD", path, headers=basic(ROBOT.text)).status == 403
    for header in ("Host", "X-Forwarded-Host", "X-Original-Host"):
        faked = {**basic(ROBOT.text), header: "private.test", "Forwarded": "host=private.test;proto=https"}
        assert refusal(public.raw("GET", path, headers=faked)) == PRIVATE_ONLY

    assert public.raw("GET", "/v2/", headers=basic(ROBOT.text)).status == 200
    given = asked_for(public, f"repository:{public.repository}:pull")
    assert given.status == 200
    assert access(given) == {}, "nothing is granted by this door"
    assert refusal(public.raw("GET", path, headers=bearer(given))) == PRIVATE_ONLY
    assert asked_for(public, headers=basic(Password.generate(ROBOT.id).text)).status == 401
    assert public.raw("GET", path).status == 401
    elsewhere = replica.client(READER)
    assert (
        refusal(elsewhere.send("GET", "/v2/foreign/x/manifests/latest")) == "pull is not granted to you here"
    )

    for request, answer in everything_of(private, image, basic(ROBOT.text)):
        assert answer.status in {200, 201, 202}, request
    assert public.repository in private.send("GET", "/v2/_catalog").json()["repositories"]


def test_a_private_namespace_is_closed_alone(replica: Replica) -> None:
    """Its siblings are served as before, and the public catalog leaves it out."""
    public = replica.client()
    image, _ = public.push_image("latest")
    sibling = replace(public, repository="strict/app", _bearers={})
    sibling.push_image("latest")
    usual = closed()
    team = usual.namespaces["team"].model_copy(update={"private_only": True})
    enforce(usual.model_copy(update={"namespaces": {**usual.namespaces, "team": team}}), replica)

    for request, answer in everything_of(public, image, basic(ROBOT.text)):
        assert refusal(answer) == PRIVATE_ONLY, request
    assert sibling.send("GET", f"{sibling.base}/manifests/latest").status == 200
    query = urlencode({"mount": digest_of(CONTENT), "from": public.repository})
    assert sibling.send("POST", f"/v2/strict/new/blobs/uploads/?{query}").status == 202, "no way around"
    listed = {
        name: replica.client(ROBOT, name).send("GET", "/v2/_catalog").json()["repositories"]
        for name in ("public", "private")
    }
    assert "strict/app" in listed["public"]
    assert not [name for name in listed["public"] if name.startswith("team/")]
    assert {"strict/app", public.repository} <= set(listed["private"])


def test_both_doors_are_counted_apart(replica: Replica) -> None:
    """Requests and bytes, by the endpoint that they came in by."""
    client = replica.client(listener="private")
    client.push_image("latest")
    before = replica.probe("/metrics")[1]
    client.send("GET", f"{client.base}/manifests/latest")
    after = replica.probe("/metrics")[1]

    def sent(text: str, endpoint: str) -> int:
        lines = [line for line in text.splitlines() if line.startswith("roadstead_sent_bytes_total{")]
        return sum(int(line.split()[-1]) for line in lines if f'domain="{endpoint}"' in line)

    assert sent(after, "private") > sent(before, "private")
    assert sent(after, "public") == sent(before, "public")
