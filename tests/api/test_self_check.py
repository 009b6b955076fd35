"""The replica's check of itself: a push and a pull through its own endpoint."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from registry_runtime import selfcheck
from registry_runtime.auth.scope import Scopes
from registry_runtime.auth.tokens import Bearers, Claims
from registry_runtime.contract.policy import Action, Grant
from registry_runtime.contract.state import SelfCheckReason
from registry_runtime.contract.subject import SELF_CHECK
from registry_runtime.selfcheck import Door, SelfCheck
from registry_runtime.state import StateBoard
from tests.api.client import Client, digest_of
from tests.api.conftest import storage_of
from tests.api.replica import EVERYTHING, Replica, closed

OPEN = closed().model_copy(update={"anonymous": (Grant(repositories=("**",), actions=EVERYTHING),)})


@pytest.fixture(scope="module", params=["directory-self", "s3-self-encrypted"])
def replica(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """One of its own: what it has answered is counted."""
    directory = tmp_path_factory.mktemp(request.param)
    encrypted = "encrypted" in request.param
    storage = storage_of(request, directory, "self")
    with Replica(directory, storage, secure=True, encrypted=encrypted) as running:
        yield running


def checked(replica: Replica, reason: str) -> dict[str, Any]:
    """The replica's state, as soon as its check of itself ended so."""
    operator, version, state = replica.operator(), "", {}
    for _ in range(60):
        state = operator.raw("GET", f"/state?after={version}&wait=5").json()
        version = state["version"]
        if state["self_check"]["reason"] == reason:
            return dict(state)
    raise AssertionError(state)


def test_it_passes_at_the_start(replica: Replica) -> None:
    """Push, pull by tag and digest, and the private listener; the log tells each request from others'."""
    assert checked(replica, "Passed")["self_check"]["message"] == "a push and a pull went through"
    metrics = replica.probe("/metrics")[1]
    records = [line for line in replica.lines("request") if line["event"] == "self-check"]
    assert {line["who"] for line in records} == {f"{SELF_CHECK}:replica-0"}
    assert {line["repository"] for line in records} == {SELF_CHECK, None}
    assert [(line["method"], line["endpoint"], line["status"]) for line in records[:8]] == [
        ("GET", "public", 200),
        ("POST", "public", 202),
        ("PUT", "public", 201),
        ("PUT", "public", 201),
        ("GET", "public", 200),
        ("GET", "public", 200),
        ("GET", "public", 200),
        ("GET", "private", 200),
    ]
    assert 'roadstead_self_check{reason="Passed"} 1' in metrics
    assert "roadstead_requests_total{" not in metrics, "no client has come yet"


@pytest.mark.parametrize("listener", ["public", "private"])
def test_its_repository_is_nobody_elses(replica: Replica, listener: str) -> None:
    """Nobody pulls, pushes, lists, mounts or sees it, even where anybody may do everything."""
    checked(replica, "Passed")
    replica.set_policy(OPEN)
    client = replica.client(listener=listener)
    client.repository = SELF_CHECK
    until_open(Client(client.host, client.port, client.tls))
    for who in (client, Client(client.host, client.port, client.tls, repository=SELF_CHECK)):
        for method, path in (
            ("GET", f"/v2/{SELF_CHECK}/manifests/latest"),
            ("DELETE", f"/v2/{SELF_CHECK}/manifests/latest"),
            ("GET", f"/v2/{SELF_CHECK}/tags/list"),
            ("POST", f"/v2/{SELF_CHECK}/blobs/uploads/"),
            ("POST", f"/v2/{SELF_CHECK}/more/blobs/uploads/"),
        ):
            answer = who.send(method, path)
            assert (answer.status, answer.code) == (403, "DENIED"), (method, path, answer.body)
    blob = digest_of(selfcheck._BLOB)
    client.repository = "team/mounts"
    mount = client.send("POST", f"{client.base}/blobs/uploads/?mount={blob}&from={SELF_CHECK}")
    assert mount.status == 202
    assert SELF_CHECK not in client.send("GET", "/v2/_catalog").body.decode()


def until_open(client: Client) -> None:
    """Waits for the policy that lets anybody do everything."""
    while client.raw("GET", "/v2/team/app/tags/list").status in {401, 403}:
        time.sleep(0.05)


def test_its_bearer_opens_nothing_else(replica: Replica) -> None:
    """Whatever scopes it claims; and in its own repository it deletes nothing, and lists nothing."""
    now, client = int(time.time()), replica.client()
    names = dict.fromkeys((SELF_CHECK, f"{SELF_CHECK}/more", "team/app"), EVERYTHING)
    claims = Claims("", now, now + 60, Scopes(names, catalog=True), provider=SELF_CHECK, name="thief")
    bearer = replica.sign(claims)
    assert client.raw("GET", f"/v2/{SELF_CHECK}/manifests/latest", headers=bearer).status == 200
    for method, path in (
        ("GET", "/v2/team/app/tags/list"),
        ("POST", "/v2/team/app/blobs/uploads/"),
        ("POST", f"/v2/{SELF_CHECK}/more/blobs/uploads/"),
        ("DELETE", f"/v2/{SELF_CHECK}/manifests/latest"),
        ("GET", f"/v2/{SELF_CHECK}/tags/list"),
    ):
        assert client.raw(method, path, headers=bearer).status == 403, (method, path)
    narrow = Claims("", now, now + 60, Scopes({SELF_CHECK: frozenset({Action.PULL})}), provider=SELF_CHECK)
    push = client.raw("POST", f"/v2/{SELF_CHECK}/blobs/uploads/", headers=replica.sign(narrow))
    assert push.status == 403
    old = Claims("", now - 120, now - 60, Scopes(names), provider=SELF_CHECK, name="late")
    assert client.raw("GET", f"/v2/{SELF_CHECK}/manifests/latest", headers=replica.sign(old)).status == 401


def test_it_fails_with_its_storage_and_passes_again(tmp_path: Path) -> None:
    """A request that met the fault makes it look at once; the replica stays ready, and gets over it."""
    data = tmp_path / "data"
    with Replica(tmp_path, {"kind": "directory", "path": str(data)}, secure=True) as replica:
        checked(replica, "Passed")
        gone = data.rename(tmp_path / "gone")
        data.write_text("no directory")
        client = replica.client()
        assert (
            client.send("POST", f"{client.base}/blobs/uploads/?digest={digest_of(b'x')}", b"x").status >= 500
        )
        failed = checked(replica, "SelfCheckFailed")
        assert "/v2/roadstead.self-check/" in failed["self_check"]["message"]
        assert failed["ready"]
        assert replica.ready()
        data.unlink()
        gone.rename(data)
        checked(replica, "Passed")


def test_it_sees_the_certificate_that_is_served(tmp_path: Path) -> None:
    """One that has ended fails the check, whatever the storage says."""
    replica = Replica(tmp_path, {"kind": "directory", "path": str(tmp_path / "data")}, secure=True)
    replica.prepare()
    replica.authority.issue(tmp_path / "server", "127.0.0.1", "public.test", life=timedelta(minutes=-1))
    try:
        replica.start()
        message = checked(replica, "SelfCheckFailed")["self_check"]["message"]
    finally:
        replica.kill()
    assert message.startswith("the certificate that the public listener serves ended on ")


def from_here(replica: Replica, *doors: Door) -> tuple[SelfCheck, StateBoard]:
    """The same check as the replica makes, made from here with its signing key."""
    key = (replica.directory / "signing.pem").read_bytes()
    board = StateBoard("tests", "zone-a", datetime.now(UTC))
    bearers = Bearers.load("tests/registry", key)
    return SelfCheck(board, bearers, lambda: doors, "127.0.0.1", secure=True), board


async def test_what_is_there_is_not_sent_again(replica: Replica) -> None:
    """A check that doubts nothing looks at the blob as clients do, and writes the manifest only."""
    checked(replica, "Passed")
    check, _ = from_here(replica, Door("public", replica.ports["public"], "public.test"))
    assert (await check.check(thorough=False)).reason is SelfCheckReason.PASSED
    asked = [line for line in replica.lines("request") if line["who"] == f"{SELF_CHECK}:tests"]
    assert [line["method"] for line in asked] == ["GET", "HEAD", "PUT", "GET", "GET", "GET"]
    assert asked[2]["reference"] == digest_of(selfcheck._MANIFEST)
    assert [line["bytes_in"] > 0 for line in asked] == [False, False, True, False, False, False]


async def test_each_failure_says_what_a_client_would_meet(replica: Replica) -> None:
    """The listener, the request and the sentence of the answer, the same each time; and never the bearer."""
    public = Door("public", replica.ports["public"], "public.test")
    closed, _ = from_here(replica, Door("public", 1, "public.test"))
    assert "the public listener makes no TLS connection" in (await closed.check(thorough=True)).message
    stranger, _ = from_here(replica, public)
    stranger._bearers = Bearers.generate("tests/registry")
    refused = await stranger.check(thorough=True)
    assert refused.message == (
        "GET /v2/ at the public listener: HTTP 401: the bearer token is not one of this registry"
    )
    assert refused == await stranger.check(thorough=True)
    half, _ = from_here(replica, public, Door("private", 1, "private.test"))
    assert "the private listener makes no TLS connection" in (await half.check(thorough=True)).message
