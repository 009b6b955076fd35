"""Attacks on who may do what, over the wire. docs/access.md has the list, with those that stand elsewhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from registry_runtime.auth.scope import Scopes
from registry_runtime.auth.tokens import Bearers, Claims
from registry_runtime.contract import subject
from registry_runtime.contract.credential import Password
from registry_runtime.contract.policy import Action
from tests.api.accounts import enforce, granted, refusal, sharing, shown, their_image
from tests.api.client import Client, basic, digest_of
from tests.api.replica import EVERYTHING, READER, ROBOT, STRANGER, Replica, closed, token
from tests.api.test_access import access
from tests.api.test_access import token as asked_for

MISSING = digest_of(b"never pushed")


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    directory = tmp_path_factory.mktemp("attacks")
    with Replica(directory, {"kind": "directory", "path": str(directory / "data")}, secure=True) as running:
        yield running


@pytest.fixture
def theirs(replica: Replica) -> Iterator[Client]:
    yield their_image(replica)
    enforce(closed(), replica)


def encoded(value: Any) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def held(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def public_key(replica: Replica) -> bytes:
    """What an attacker may know of the signing key."""
    key = load_pem_private_key((replica.directory / "signing.pem").read_bytes(), None)
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def good_bearer(replica: Replica) -> str:
    text = asked_for(replica.client(), "repository:team/app:pull,push").json()["token"]
    assert replica.client().raw("GET", "/v2/", headers=held(text)).status == 200
    return str(text)


def forgeries(replica: Replica) -> Iterator[tuple[str, str]]:
    """What JWT libraries fell for, each made of a good one."""
    head, body, signature = good_bearer(replica).split(".")
    own = json.loads(base64.urlsafe_b64decode(head + "=="))
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))

    def hmac_with(key: bytes, header: dict[str, str]) -> str:
        signed = f"{encoded(header)}.{body}"
        return f"{signed}.{encoded(hmac.new(key, signed.encode(), hashlib.sha256).digest())}"

    for none in ("none", "None", "NONE", ""):
        yield f"alg {none!r}", f"{encoded({**own, 'alg': none})}.{body}."
        yield f"alg {none!r}, signature left", f"{encoded({**own, 'alg': none})}.{body}.{signature}"
    for alg in ("HS256", "HS384"):
        yield f"{alg} with the public key", hmac_with(public_key(replica), {**own, "alg": alg})
    yield "HS256 without a kid", hmac_with(public_key(replica), {"alg": "HS256", "typ": "JWT"})
    yield "another kid", f"{encoded({**own, 'kid': '0' * 16})}.{body}.{signature}"
    yield "a kid that is a path", f"{encoded({**own, 'kid': '../../dev/null'})}.{body}.{signature}"
    for more in ({"jwk": {"kty": "EC"}}, {"jku": "https://evil.example/keys"}, {"x5u": "x"}, {"crit": ["x"]}):
        yield f"a header with {next(iter(more))}", f"{encoded({**own, **more})}.{body}.{signature}"
    stolen = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    now = int(time.time())
    another = Bearers.load("tests/registry", stolen).sign(
        Claims(ROBOT.id, now, now + 60, Scopes({"team/app": EVERYTHING}))
    )
    yield "another key", another
    yield "another key under our kid", f"{head}.{another.split('.', 1)[1]}"
    everything = [{"type": "repository", "name": "foreign/secret", "actions": ["pull"]}]
    edits: list[dict[str, Any]] = [{"sub": STRANGER.id}, {"exp": now + 10**6}, {"access": everything}]
    for edit in [*edits, {"idp": "kubernetes", "subjects": [subject.token(STRANGER.id)]}]:
        yield f"edited {next(iter(edit))}", f"{head}.{encoded({**claims, **edit})}.{signature}"
    yield "a signature of zeros", f"{head}.{body}.{encoded(bytes(64))}"
    yield "a signature in DER", f"{head}.{body}.{encoded(bytes([0x30, 6, 2, 1, 1, 2, 1, 1]))}"


def test_a_bearer_cannot_be_forged(replica: Replica) -> None:
    """No algorithm, no key and no claim but our own: 401, and the same sentence for each."""
    client = replica.client()
    sentences = set()
    for what, forged in forgeries(replica):
        answer = client.raw("GET", "/v2/", headers=held(forged))
        assert answer.status == 401, what
        sentences.add(answer.json()["errors"][0]["message"])
    assert sentences == {"the bearer token is not one of this registry"}


def test_a_bearer_is_of_one_registry(replica: Replica, tmp_path: Path) -> None:
    """At another one it is nothing, also where two registries were given the same key by mistake."""
    now = int(time.time())
    claims = Claims(ROBOT.id, now, now + 60, Scopes({"team/app": EVERYTHING}))
    assert replica.client().raw("GET", "/v2/", headers=replica.sign(claims)).status == 200
    same_key = replica.sign(claims, registry="tests/another")
    assert replica.client().raw("GET", "/v2/", headers=same_key).status == 401
    storage = {"kind": "directory", "path": str(tmp_path / "data")}
    with Replica(tmp_path / "another", storage, secure=True) as another:
        good = held(good_bearer(replica))
        assert another.client().raw("GET", "/v2/", headers=good).status == 401
        assert replica.client().raw("GET", "/v2/", headers=held(good_bearer(another))).status == 401


NAMES = [
    "team/../foreign/secret",
    "team/./../foreign/secret",
    "team//../foreign/secret",
    "team/%2e%2e/foreign/secret",
    "team/%2E%2E%2Fforeign/secret",
    "team%2f..%2fforeign/secret",
    "team%2Fforeign/secret/../../foreign/secret",
    "team/%252e%252e/foreign/secret",
    "team\\..\\foreign/secret",
    "team/..;/foreign/secret",
    "foreign/secret/",
    "/foreign/secret",
    "//foreign/secret",
    "foreign//secret",
    "FOREIGN/secret",
    "foreign/Secret",
    "foreign/secret%00",
    "team/x%00/../../foreign/secret",
    "foreign/secret%0a",
    "foreign/secret%20",
    "\uff46oreign/secret",
    "forei\u0261n/secret",
    "foreign\u2215secret",
    "foreign/secre\u0074\u0301",
    "foreign!secret",
    "foreign/_blobs/secret",
    "x/" * 2000 + "foreign/secret",
    "team/" + "a" * 5000,
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:40]))
def test_a_name_that_is_a_trick_reaches_nothing(replica: Replica, theirs: Client, name: str) -> None:
    """By no method, as it is or encoded: it is no name, or it is one that is not ours."""
    client = replica.client()
    for given in {quote(name, safe="/%"), quote(name, safe="")}:
        for method, rest in [
            ("GET", "manifests/latest"),
            ("HEAD", "manifests/latest"),
            ("PUT", "manifests/latest"),
            ("DELETE", "manifests/latest"),
            ("POST", "blobs/uploads/"),
            ("GET", "tags/list"),
            ("GET", f"referrers/{MISSING}"),
        ]:
            answer = client.raw(method, f"/v2/{given}/{rest}", headers=basic(ROBOT.text))
            assert answer.status in {400, 403, 404}, (method, given, answer.body)
    query = urlencode({"mount": digest_of(b"{}"), "from": name})
    assert client.send("POST", f"{client.base}/blobs/uploads/?{query}").status == 202
    assert access(asked_for(client, f"repository:{name}:pull")) == {}
    assert theirs.send("GET", f"{theirs.base}/manifests/latest").status == 200


GLOBS = [
    "**", "*", "*/*", "**/secret", "f**", "foreign/**", "../**", "team/../foreign/**", "team/..**",
    "team/**/../../foreign/**", "**/foreign/**", "team/%2e%2e/**", ".*", "foreign.*", "[f]oreign/*",
    "{team,foreign}/**", "?oreign/secret", "FOREIGN/**", "\uff46oreign/**", "*" * 255, "*/" * 100 + "**",
]  # fmt: skip


def test_a_glob_that_is_a_trick_reaches_nothing(replica: Replica, theirs: Client) -> None:
    """Whatever a tenant writes, for its tokens or its guests: it ends at its own Namespaces."""
    owned = {Password.generate(f"{number:016x}"): glob for number, glob in enumerate(GLOBS, 0x100)}
    guests = {Password.generate(f"{number:016x}"): glob for number, glob in enumerate(GLOBS, 0x200)}
    tokens = {
        **closed().tokens,
        **{one.id: token(one, "ours", glob, EVERYTHING) for one, glob in owned.items()},
        **{one.id: token(one, "nobody", "", frozenset()) for one in guests},
    }
    entries = [granted(EVERYTHING, subject.token(one.id), globs=(glob,)) for one, glob in guests.items()]
    enforce(sharing(*entries, tokens=tokens), replica)
    for one, glob in {**owned, **guests}.items():
        us, headers = replica.client(), basic(one.text)
        answer = us.raw("GET", "/v2/foreign/secret/manifests/latest", headers=headers)
        assert refusal(answer) == "pull is not granted to you here", glob
        listed = us.raw("GET", "/v2/_catalog", headers=headers).json()["repositories"]
        assert not [name for name in listed if name.startswith("foreign")], glob


def test_a_guest_lends_its_host_nothing(replica: Replica, theirs: Client) -> None:
    """A Namespace that names another account's token opens itself to it, and nothing the other way."""
    own = replica.client()
    own.push_image("latest")
    entry = granted(frozenset({Action.PULL}), subject.token(STRANGER.id), globs=("team/**", "foreign/**"))
    enforce(sharing(entry, tokens=closed().tokens), replica)
    try:
        guest = replace(theirs, repository=own.repository, _bearers={})
        assert guest.send("GET", f"{own.base}/manifests/latest").status == 200
        assert (
            refusal(guest.send("PUT", f"{own.base}/manifests/x", b"{}")) == "push is not granted to you here"
        )
        for host in (ROBOT, READER):
            answer = replica.client(host).send("GET", f"{theirs.base}/manifests/latest")
            assert refusal(answer) == "pull is not granted to you here"
    finally:
        enforce(closed(), replica)


def test_a_login_does_not_tell_which_ids_there_are(replica: Replica) -> None:
    """An id that is there, one that is not, and no password of ours: one answer, wherever it is tried."""
    client = replica.client()
    wrong = [Password.generate(ROBOT.id).text, Password.generate("f" * 16).text, "hunter2", "rst_", ""]
    for path in ("/v2/", "/token?scope=repository:team/app:pull", "/v2/team/app/tags/list"):
        seen = {shown(client.raw("GET", path, headers=basic(text))) for text in wrong}
        assert len(seen) == 1, seen
        assert seen.pop()[0] in {401, 429}
