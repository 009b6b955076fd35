"""Who may do what, over the wire: challenges, bearers, refusals that tell nothing."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from registry_runtime.contract.credential import Password
from registry_runtime.contract.policy import Action, Grant, Policy
from tests.api.client import OCI_IMAGE, OCI_INDEX, Answer, Client, basic, digest_of
from tests.api.replica import READER, ROBOT, STRANGER, Replica, closed

MISSING = digest_of(b"never pushed")
WRONG = Password.generate(ROBOT.id)


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica of these tests' own: they change its policy."""
    directory = tmp_path_factory.mktemp("access")
    storage = {"kind": "directory", "path": str(directory / "data")}
    limits = {"drain_seconds": 1, "bearer_seconds": 60}
    with Replica(directory, storage, secure=True, limits=limits) as running:
        yield running


@pytest.fixture(autouse=True)
def usual_policy(replica: Replica) -> Iterator[None]:
    yield
    enforce(replica, closed())


def enforce(replica: Replica, policy: Policy) -> None:
    """Returns when the policy is in force."""
    replica.set_policy(policy)
    for _ in range(100):
        if replica.revision == policy.revision:
            return
        time.sleep(0.05)
    raise AssertionError("the policy did not come into force")


def challenge(answer: Answer) -> dict[str, str]:
    header = answer["WWW-Authenticate"]
    assert answer.status == 401
    assert header is not None
    assert header.startswith("Bearer ")
    return dict(re.findall(r'(\w+)="([^"]*)"', header))


def token(client: Client, *scopes: str, headers: dict[str, str] | None = None) -> Answer:
    query = urlencode([("service", "x"), *(("scope", scope) for scope in scopes)])
    return client.raw("GET", f"/token?{query}", headers=headers or basic(ROBOT.text))


def access(answer: Answer) -> dict[str, list[str]]:
    """What the bearer says that it is for."""
    body = answer.json()["token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return {entry["name"]: entry["actions"] for entry in claims["access"]}


def bearer(answer: Answer) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['token']}"}


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v2/", None),
        ("HEAD", "/v2/", None),
        ("GET", "/v2/_catalog", "registry:catalog:*"),
        ("GET", "/v2/team/app/tags/list", "repository:team/app:pull"),
        ("GET", "/v2/team/app/manifests/latest", "repository:team/app:pull"),
        ("HEAD", f"/v2/team/app/blobs/{MISSING}", "repository:team/app:pull"),
        ("GET", f"/v2/team/app/referrers/{MISSING}", "repository:team/app:pull"),
        ("PUT", "/v2/team/app/manifests/latest", "repository:team/app:pull,push"),
        ("POST", "/v2/team/app/blobs/uploads/", "repository:team/app:pull,push"),
        ("PATCH", "/v2/team/app/blobs/uploads/x", "repository:team/app:pull,push"),
        ("GET", "/v2/team/app/blobs/uploads/x", "repository:team/app:pull,push"),
        ("DELETE", "/v2/team/app/manifests/latest", "repository:team/app:delete"),
        ("DELETE", f"/v2/team/app/blobs/{MISSING}", "repository:team/app:delete"),
    ],
)
def test_without_credentials(replica: Replica, method: str, path: str, scope: str | None) -> None:
    """401 with a challenge that names the scope to ask for."""
    asked = challenge(replica.client().raw(method, path))
    assert asked.get("scope") == scope
    assert asked["service"] == "tests/registry"


@pytest.mark.parametrize(
    ("host", "realm"),
    [
        ("public.test", "https://public.test/token"),
        ("public.test:8443", "https://public.test:8443/token"),
        ("PUBLIC.test", "https://public.test/token"),
        ("private.test", "https://public.test/token"),
        ("evil.example", "https://public.test/token"),
        ("public.test.evil.example", "https://public.test/token"),
        ("public.test:80@evil.example", "https://public.test/token"),
        ('public.test"', "https://public.test/token"),
        ("", "https://public.test/token"),
    ],
)
def test_the_realm_follows_the_allowed_host(replica: Replica, host: str, realm: str) -> None:
    """On the host that was asked, where it is one of the listener's own; else on the canonical one."""
    assert challenge(replica.client().raw("GET", "/v2/", headers={"Host": host}))["realm"] == realm


def test_the_private_listener_has_its_own_host(replica: Replica) -> None:
    """Which door it is depends on the socket, whatever the headers say."""
    private = replica.client(listener="private")
    for header in ({}, {"Host": "public.test"}, {"X-Forwarded-Host": "public.test"}):
        assert challenge(private.raw("GET", "/v2/", headers=header))["realm"] == "https://private.test/token"
    public = replica.client()
    faked = {"X-Endpoint": "private", "X-Forwarded-Host": "private.test", "Forwarded": "host=private.test"}
    realm = challenge(public.raw("GET", "/v2/", headers=faked))["realm"]
    assert realm == f"https://127.0.0.1:{public.port}/token"
    endpoints = {line["endpoint"] for line in replica.lines("request") if line["path"] == "/v2/"}
    assert endpoints == {"public", "private"}


def test_both_listeners_serve_the_same(replica: Replica) -> None:
    """What is pushed by one door is pulled by the other."""
    public = replica.client()
    digest, content = public.push_image("latest")
    private = replica.client(listener="private")
    private.repository = public.repository
    assert private.send("GET", f"{private.base}/manifests/{digest}").body == content


@pytest.mark.parametrize(
    ("user", "secret"),
    [
        *((name, ROBOT.text) for name in ("anyone", "iamapikey", "")),
        ("_json_key", json.dumps({"password": ROBOT.text})),
    ],
)
def test_any_user_name_and_a_key_file(replica: Replica, user: str, secret: str) -> None:
    """The password carries its token's id, so the user name is free."""
    client = replica.client()
    assert client.raw("GET", "/v2/", headers=basic(secret, user)).status == 200
    assert token(client, headers=basic(secret, user)).status == 200


def test_a_bearer_holds_what_is_asked_for_and_granted(replica: Replica) -> None:
    """Scopes in one parameter or in several; what is not granted is left out."""
    client = replica.client()
    one = token(client, "repository:team/a:pull repository:team/b:push")
    two = token(client, "repository:team/a:pull", "repository:team/b:push")
    assert access(one) == access(two) == {"team/a": ["list", "pull"], "team/b": ["push"]}
    mixed = token(client, "repository:team/a:*", "repository:foreign/a:*", "rubbish")
    assert access(mixed) == {"team/a": ["delete", "list", "pull", "push"]}
    assert access(token(client, "repository:team/a:pull,push", headers=basic(READER.text))) == {
        "team/a": ["pull"]
    }
    assert access(token(client)) == {}


def test_the_answer_has_what_clients_read(replica: Replica) -> None:
    """Both names of the token, its life, and no cache on the way."""
    answer = token(replica.client(), "repository:team/a:pull")
    document = answer.json()
    assert document["token"] == document["access_token"]
    assert document["expires_in"] == 60
    issued = datetime.fromisoformat(document["issued_at"])
    assert abs(datetime.now(UTC) - issued) < timedelta(seconds=5)
    assert answer["Cache-Control"] == "no-store"


def test_the_password_grant(replica: Replica) -> None:
    """containerd's way: a form; other grants are told that they are not known."""
    client = replica.client()
    form = {
        "grant_type": "password",
        "username": "x",
        "password": ROBOT.text,
        "scope": "repository:team/a:pull",
    }
    answer = client.raw("POST", "/token", urlencode(form).encode())
    assert access(answer) == {"team/a": ["list", "pull"]}
    assert client.raw("POST", "/token", urlencode({**form, "password": "x"}).encode()).status == 401
    assert client.raw("POST", "/token", b"grant_type=refresh_token").status == 400
    assert client.raw("POST", "/token", b"\xff" * 100).status == 400
    too_long = client.raw("POST", "/token", b"x" * 300_000)
    assert (too_long.status, too_long.code) == (413, "SIZE_INVALID")
    assert "form" in too_long.json()["errors"][0]["message"]


def test_one_bearer_covers_so_much(replica: Replica) -> None:
    """It comes back with each request: more scopes than a push has reason for are refused in a sentence."""
    client = replica.client()
    scopes = [f"repository:team/{number}:pull" for number in range(33)]
    assert len(access(token(client, *scopes[:32]))) == 32
    form = {"grant_type": "password", "username": "x", "password": ROBOT.text, "scope": " ".join(scopes)}
    for refused in (
        token(client, *scopes),
        token(client, " ".join(scopes)),
        client.raw("POST", "/token", urlencode(form).encode()),
    ):
        assert refused.status == 413
        assert "at most 32 scopes" in refused.json()["errors"][0]["message"]


def test_a_bearer_is_no_password(replica: Replica) -> None:
    """A bearer cannot be exchanged for another one, or be renewed for ever."""
    client = replica.client()
    held = bearer(token(client, "repository:team/a:pull"))
    assert token(client, "repository:team/a:push", headers=held).status == 401


def test_a_narrow_bearer_is_challenged(replica: Replica) -> None:
    """401 with the scope that is missing, so that the client asks for it and goes on."""
    client = replica.client()
    held = bearer(token(client, "repository:team/app:pull"))
    assert client.raw("GET", "/v2/team/app/tags/list", headers=held).status == 404
    asked = challenge(client.raw("POST", "/v2/team/app/blobs/uploads/", headers=held))
    assert asked["scope"] == "repository:team/app:pull,push"


def test_what_is_not_granted_is_denied(replica: Replica) -> None:
    """403 with DENIED, for a good password that may not."""
    client = replica.client(READER)
    for method, path in [
        ("PUT", "manifests/x"),
        ("POST", "blobs/uploads/"),
        ("DELETE", "manifests/x"),
        ("GET", "tags/list"),
    ]:
        answer = client.send(method, f"{client.base}/{path}")
        assert (answer.status, answer.code) == (403, "DENIED")


def test_a_foreign_repository_tells_nothing(replica: Replica) -> None:
    """Status, body and headers are the same whether it exists, was never pushed, or is nobody's."""
    theirs = replica.client(STRANGER)
    theirs.repository = "foreign/secret"
    digest, _ = theirs.push_image("latest")
    us = replica.client(ROBOT)
    for method, path in [
        ("GET", "manifests/latest"),
        ("HEAD", f"manifests/{digest}"),
        ("GET", f"blobs/{digest_of(b'{}')}"),
        ("GET", "tags/list"),
        ("GET", f"referrers/{digest}"),
        ("POST", "blobs/uploads/"),
        ("DELETE", "manifests/latest"),
    ]:
        for headers in (basic(ROBOT.text), {}):
            seen = set()
            for repository in ("foreign/secret", "foreign/nothing", "nobody/nothing"):
                answer = us.raw(method, f"/v2/{repository}/{path}", headers=headers)
                body = answer.body.decode().replace(repository, "NAME")
                asked = (answer["WWW-Authenticate"] or "").replace(repository, "NAME")
                seen.add((answer.status, body, asked, len(answer.headers)))
            assert len(seen) == 1, seen
            assert seen.pop()[0] == (403 if headers else 401)


def test_a_mount_needs_the_right_to_its_source(replica: Replica) -> None:
    """Another account's blob is not mounted, named or not, and the answer is that of a missing one."""
    theirs = replica.client(STRANGER)
    theirs.repository = "foreign/blobs"
    digest = theirs.push_blob(b"of the other account")
    us = replica.client(ROBOT)
    for query in (f"mount={digest}&from=foreign/blobs", f"mount={digest}", f"mount={MISSING}&from=team/none"):
        assert us.send("POST", f"{us.base}/blobs/uploads/?{query}").status == 202
    assert us.send("HEAD", f"{us.base}/blobs/{digest}").status == 404


def test_a_mount_asks_by_who_it_is(replica: Replica) -> None:
    """A bearer for the target alone mounts from a source that its owner may read."""
    client = replica.client()
    digest = client.push_blob(b"to be mounted")
    target = f"{client.repository}-2"
    held = bearer(token(client, f"repository:{target}:push"))
    path = f"/v2/{target}/blobs/uploads/?mount={digest}&from={client.repository}"
    assert client.raw("POST", path, headers=held).status == 201


@pytest.mark.parametrize(
    "change",
    [
        {"suspended": True},
        {"not_after": datetime.now(UTC) - timedelta(seconds=1)},
        {"grants": ()},
        {"hashes": ()},
    ],
    ids=["suspended", "expired", "nothing granted", "password taken away"],
)
def test_a_change_of_the_policy_is_in_force_at_once(replica: Replica, change: dict[str, object]) -> None:
    """Passwords and unexpired bearers are judged by the policy of now."""
    client = replica.client()
    client.push_image("latest")
    path = f"{client.base}/manifests/latest"
    held = bearer(token(client, f"repository:{client.repository}:pull"))
    assert client.raw("GET", path, headers=held).status == 200
    usual = closed()
    tokens = {**usual.tokens, ROBOT.id: usual.tokens[ROBOT.id].model_copy(update=change)}
    enforce(replica, usual.model_copy(update={"tokens": tokens}))
    password = client.raw("GET", path, headers=basic(ROBOT.text)).status
    by_bearer = client.raw("GET", path, headers=held).status
    if "hashes" in change:
        assert (password, by_bearer) == (401, 200)  # the token is still there, only this password is not
    else:
        assert password == by_bearer == (403 if "grants" in change else 401)


def test_a_deleted_token_ends_its_uploads(replica: Replica) -> None:
    """Revocation ends an upload in the middle."""
    client = replica.client()
    location = client.send("POST", f"{client.base}/blobs/uploads/").location
    held = bearer(token(client, f"repository:{client.repository}:push"))
    assert client.raw("PATCH", location, b"one", held).status == 202
    usual = closed()
    enforce(replica, usual.model_copy(update={"tokens": {STRANGER.id: usual.tokens[STRANGER.id]}}))
    assert client.raw("PATCH", location, b"two", held).status == 401


@pytest.mark.parametrize("verb", ["manifest", "blob in one request", "last of an upload"])
def test_a_request_that_is_on_its_way_outlives_no_token(replica: Replica, verb: str) -> None:
    """Its body may take days: at its end the policy of then decides, and nothing of it is there."""
    client = replica.client()
    _, image = client.push_image()
    usual, digest = closed(), digest_of(b"one" * 10_000)
    if verb == "manifest":
        method, path, whole = "PUT", f"{client.base}/manifests/late", image
    elif verb == "blob in one request":
        method, path, whole = "POST", f"{client.base}/blobs/uploads/?digest={digest}", b"one" * 10_000
    else:
        method, whole = "PUT", b"one" * 10_000
        path = f"{client.send('POST', f'{client.base}/blobs/uploads/').location}?digest={digest}"

    def body() -> Iterator[bytes]:
        yield whole[:10]
        time.sleep(0.5)  # until the replica has let it in
        enforce(replica, usual.model_copy(update={"tokens": {STRANGER.id: usual.tokens[STRANGER.id]}}))
        yield whole[10:]

    headers = {**basic(ROBOT.text), "Content-Type": OCI_IMAGE}
    assert client.raw(method, path, body(), headers).status == 401
    enforce(replica, usual)
    there = "manifests/late" if verb == "manifest" else f"blobs/{digest}"
    assert client.send("HEAD", f"{client.base}/{there}").status == 404


def test_a_malformed_policy_is_refused_whole(replica: Replica) -> None:
    """What was in force stays, the log and the metrics say so, and a good one mends it."""
    for number, wrong in enumerate([b"{", b'{"tokens": {"x": {"surprise": 1}}}', b"", b"\xff"], start=1):
        replica.set_policy(wrong)
        deadline = time.monotonic() + 5
        while len(replica.lines("a policy is refused, the old one stays")) < number:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert replica.client().raw("GET", "/v2/", headers=basic(ROBOT.text)).status == 200
    assert "roadstead_policy_refusals_total 4" in replica.probe("/metrics")[1]


def test_failed_logins_are_throttled(tmp_path: Path) -> None:
    """401 at first, then 429 with Retry-After; a right password passes all the while."""
    storage = {"kind": "directory", "path": str(tmp_path / "data")}
    with Replica(tmp_path, storage, secure=True) as own:
        client = own.client()
        answers = [client.raw("GET", "/v2/", headers=basic(WRONG.text)) for _ in range(30)]
        statuses = [answer.status for answer in answers]
        assert statuses[:20] == [401] * 20
        assert statuses[-1] == 429
        assert int(answers[-1]["Retry-After"] or 0) >= 1
        assert client.raw("GET", "/v2/", headers=basic(ROBOT.text)).status == 200


def test_an_upload_outlives_its_bearer(replica: Replica) -> None:
    """Who began an upload may end it with an expired bearer; nobody else, and nothing new."""
    client, other = replica.client(), replica.client(READER)
    held = bearer(token(client, f"repository:{client.repository}:pull,push"))
    expired = replica.bearer(client.repository, seconds=-5)
    location = client.raw("POST", f"{client.base}/blobs/uploads/", headers=held).location
    content = b"a long push"
    assert client.raw("PATCH", location, content[:5], expired).status == 202
    assert client.raw("GET", f"{client.base}/manifests/x", headers=expired).status == 401
    assert client.raw("POST", f"{client.base}/blobs/uploads/", headers=expired).status == 401
    assert other.send("PATCH", location, b"x").status == 403
    assert client.raw("PATCH", location, content[5:], expired).status == 202
    assert client.raw("PUT", f"{location}?digest={digest_of(content)}", headers=expired).status == 201


def test_an_upload_outlives_its_token(replica: Replica) -> None:
    """An AccessToken that ends in the middle of a push: what it began it ends, unless it is taken away."""
    client = replica.client()
    held = bearer(token(client, f"repository:{client.repository}:pull,push"))
    _, manifest = client.push_image()
    begun, other = (
        client.raw("POST", f"{client.base}/blobs/uploads/", headers=held).location for _ in range(2)
    )
    assert client.raw("PATCH", begun, b"a long ", held).status == 202

    def change(**fields: object) -> None:
        usual = closed()
        tokens = {**usual.tokens, ROBOT.id: usual.tokens[ROBOT.id].model_copy(update=fields)}
        enforce(replica, usual.model_copy(update={"tokens": tokens}))

    change(not_after=datetime.now(UTC) - timedelta(seconds=61))
    assert client.raw("PATCH", begun, b"push", held).status == 202
    digest = digest_of(b"a long push")
    assert client.raw("PUT", f"{begun}?digest={digest}", headers=held).status == 201
    put = {**held, "Content-Type": OCI_IMAGE}
    assert client.raw("PUT", f"{client.base}/manifests/late", manifest, put).status == 201
    for method, path in [
        ("POST", f"{client.base}/blobs/uploads/"),
        ("GET", f"{client.base}/manifests/late"),
        ("PATCH", other),
        ("DELETE", f"{client.base}/manifests/late"),
        ("GET", "/v2/"),
    ]:
        assert client.raw(method, path, headers=held).status == 401, (method, path)
    assert token(client).status == 401

    change(not_after=datetime.now(UTC) - timedelta(seconds=700))
    assert client.raw("PUT", f"{client.base}/manifests/late", manifest, put).status == 401
    change(not_after=datetime.now(UTC) - timedelta(seconds=61), suspended=True)
    assert client.raw("PUT", f"{client.base}/manifests/late", manifest, put).status == 401


def test_an_old_bearer_goes_on_with_nothing(tmp_path: Path) -> None:
    """What ran out longer ago than a session lives belongs to no push, whoever's it was."""
    storage = {"kind": "directory", "path": str(tmp_path / "data")}
    with Replica(tmp_path, storage, secure=True, limits={"upload_seconds": 60}) as own:
        client = own.client()
        location = client.send("POST", f"{client.base}/blobs/uploads/").location
        assert client.raw("PATCH", location, b"x", own.bearer(client.repository, seconds=-50)).status == 202
        old = client.raw("PATCH", location, b"x", own.bearer(client.repository, seconds=-62))
        assert (old.status, old.code) == (401, "UNAUTHORIZED")


def test_a_push_outlives_its_bearer(replica: Replica) -> None:
    """For ten minutes an expired bearer may put the manifest of blobs that its token pushed here."""
    client = replica.client()
    _, content = client.push_image()
    path = f"{client.base}/manifests/late"
    kind = {"Content-Type": OCI_IMAGE}

    def put(seconds: int, manifest: bytes = content) -> int:
        return client.raw(
            "PUT", path, manifest, {**replica.bearer(client.repository, seconds), **kind}
        ).status

    assert put(-590) == 201
    assert put(-610) == 401
    empty = b'{"schemaVersion": 2, "mediaType": "%s", "manifests": []}' % OCI_INDEX.encode()
    kind["Content-Type"] = OCI_INDEX
    assert put(-5, empty) == 401
    assert put(60, empty) == 201


def test_a_push_of_somebody_else_is_not_ended(replica: Replica) -> None:
    """A mounted blob, or one that another token pushed, gives an expired bearer nothing."""
    source, client = replica.client(), replica.client()
    digest, content = source.push_image()
    for blob in json.loads(content)["layers"] + [json.loads(content)["config"]]:
        query = f"mount={blob['digest']}&from={source.repository}"
        assert client.send("POST", f"{client.base}/blobs/uploads/?{query}").status == 201
    headers = {**replica.bearer(client.repository, -5), "Content-Type": OCI_IMAGE}
    assert client.raw("PUT", f"{client.base}/manifests/{digest}", content, headers).status == 401


def test_what_is_granted_to_anybody(replica: Replica) -> None:
    """Docker's way without a login: a challenge, a bearer for nobody, the pull; a push is refused."""
    robot = replica.client()
    robot.repository = "team/open"
    _, content = robot.push_image("latest")
    pulls = Grant(repositories=("team/open",), actions=frozenset({Action.PULL, Action.LIST}))
    enforce(replica, closed().model_copy(update={"anonymous": (pulls,)}))
    client = replica.client(None)
    path = "/v2/team/open/manifests/latest"
    assert client.raw("GET", "/v2/").status == 401
    given = client.raw("GET", f"/token?{urlencode({'scope': 'repository:team/open:pull,push'})}")
    assert access(given) == {"team/open": ["list", "pull"]}
    held = bearer(given)
    assert client.raw("GET", "/v2/", headers=held).status == 200
    for headers in (held, {}):
        assert client.raw("GET", path, headers=headers).body == content
        assert client.raw("PUT", path, content, headers).status == 401
        assert client.raw("GET", "/v2/team/other/tags/list", headers=headers).status == 401
    assert client.raw("GET", "/v2/_catalog").json() == {"repositories": ["team/open"]}
    enforce(replica, closed())
    assert client.raw("GET", path, headers=held).status == 401
    assert client.raw("GET", "/token").status == 401


def test_the_catalog_shows_what_may_be_listed(replica: Replica) -> None:
    """Another account, and a token without the right to list, see nothing of it."""
    client = replica.client()
    client.push_image("latest")
    for password, visible in ((ROBOT, True), (READER, False), (STRANGER, False)):
        found = replica.client(password).send("GET", "/v2/_catalog").json()["repositories"]
        assert (client.repository in found) is visible


def test_plain_http_on_a_tls_port_is_dropped(replica: Replica) -> None:
    """A client that forgot https gets no answer that could be taken for one."""
    with socket.create_connection(("127.0.0.1", replica.ports["public"]), timeout=10) as plain:
        plain.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert not plain.recv(100).startswith(b"HTTP")


@pytest.mark.parametrize(
    "name",
    [
        "../team/app",
        "team/../foreign/secret",
        "team//app",
        "team/app/",
        "/team/app",
        "TEAM/app",
        "team/%2e%2e/x",
        "team/a b",
        "team/\u00e4",
    ],
)
def test_names_that_are_tricks(replica: Replica, name: str) -> None:
    """A name either is one or is refused; none is ever made into another."""
    client = replica.client()
    for path in (f"/v2/{name}/manifests/latest", f"/v2/{quote(name, safe='')}/manifests/latest"):
        answer = client.raw("GET", quote(path, safe="/%"), headers=basic(ROBOT.text))
        assert (answer.status, answer.code) in {(400, "NAME_INVALID"), (404, "NAME_UNKNOWN")}


def test_no_secret_reaches_the_log(replica: Replica) -> None:
    """After all of the above: no password, no bearer, no query, no header of authorization."""
    client = replica.client()
    answer = token(client, "repository:team/a:pull")
    client.raw("GET", f"/v2/team/a/tags/list?access_token={ROBOT.text}", headers=bearer(answer))
    client.put_manifest("x", b"{}", OCI_IMAGE)
    log = replica.log
    for secret in (
        ROBOT.text,
        READER.text,
        STRANGER.text,
        WRONG.text,
        answer.json()["token"],
        "Bearer e",
        "Basic ",
    ):
        assert secret not in log
    line = replica.lines("request")[-1]
    assert line["who"] == ROBOT.id
    assert {"request", "method", "path", "status", "ms", "bytes_out", "endpoint", "reason"} <= line.keys()
