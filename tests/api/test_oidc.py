"""ID tokens of a real provider, Dex, as passwords: from a login to a push, on a real replica."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from registry_runtime.contract import subject
from registry_runtime.contract.policy import Access, Action, Claim, Grant, Policy
from registry_runtime.contract.subject import OidcProvider
from tests.api.accounts import enforce
from tests.api.client import Answer, Client, basic
from tests.api.replica import Replica
from tests.certificates import Authority
from tests.dex import ANNA, GROUP, Dex, dex

READER = frozenset({Action.PULL, Action.LIST})
WRITER = frozenset({Action.PULL, Action.PUSH, Action.DELETE})
SERVICE = "tests/registry"


@dataclass(frozen=True)
class World:
    """A registry whose owner trusts a provider: Anna writes into team/**, its authors read there."""

    replica: Replica
    dex: Dex

    @property
    def policy(self) -> Policy:
        roles = ((WRITER, {"email": ANNA}), (READER, {"groups": GROUP}))
        granted = tuple(
            Access(repositories=("team/**",), actions=actions, subjects=(subject.oidc("dex", claims),))
            for actions, claims in roles
        )
        provider = OidcProvider(
            issuer=self.dex.issuer,
            audience="registry",
            user="email",
            claims={"email_verified": "true"},
            ca=self.dex.authority.file.read_text(),
        )
        return Policy(
            namespaces={
                "team": Claim(account="ours", owner="ours", access=granted),
                "other": Claim(account="theirs", owner="theirs"),
            },
            oidc={"dex": provider},
        )

    def enforce(self, policy: Policy) -> None:
        """Returns when it is in force."""
        enforce(policy, self.replica)

    def login(self, id_token: str, *scopes: str) -> Answer:
        query = urlencode([("service", SERVICE), *(("scope", scope) for scope in scopes)])
        return self.client(None).raw("GET", f"/token?{query}", headers=basic(id_token, "anna"))

    def refused(self, id_token: str) -> str:
        """The sentence, of a refusal that shows nothing of the token."""
        answer = self.login(id_token)
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
        assert id_token.encode() not in answer.body
        return str(answer.json()["errors"][0]["message"])

    def client(self, id_token: str | None) -> Client:
        """As docker does it: the challenge is answered with the password."""
        known = self.replica.client(None)
        known.password = id_token
        return known


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("oidc")
    storage = {"kind": "directory", "path": str(folder / "data")}
    with dex(tmp_path_factory.mktemp("dex")) as provider, Replica(folder, storage, secure=True) as replica:
        yield World(replica, provider)


@pytest.fixture(autouse=True)
def usual_policy(world: World) -> None:
    world.enforce(world.policy)


def test_an_id_token_pushes_and_pulls_by_its_roles(world: World) -> None:
    """Who may write, by name, pushes; who may read, by group, pulls it and no more; elsewhere neither."""
    anna = world.client(world.dex.by_password())
    digest, manifest = anna.push_image("v1")
    author = world.client(world.dex.by_browser())
    author.repository = anna.repository
    pulled = author.send("GET", f"{author.base}/manifests/v1")
    assert (pulled.status, pulled.body) == (200, manifest)
    assert author.send("GET", f"{author.base}/tags/list").json()["tags"] == ["v1"]
    for method, place in (("DELETE", f"manifests/{digest}"), ("POST", "blobs/uploads/")):
        refused = author.send(method, f"{author.base}/{place}")
        assert (refused.status, refused.code) == (403, "DENIED")
    assert anna.send("DELETE", f"{anna.base}/manifests/v1").status == 202
    anna.repository = "other/app"
    assert anna.send("GET", f"{anna.base}/manifests/v1").status == 403


def test_the_password_grant(world: World) -> None:
    """As containerd asks: the bearer is the same, and the answer says for how long it is good."""
    form = {
        "grant_type": "password",
        "service": SERVICE,
        "username": "anna",
        "scope": "repository:team/a:pull",
    }
    content = urlencode({**form, "password": world.dex.by_password()}).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = world.client(None).raw("POST", "/token", content, kind)
    assert answer.status == 200
    assert answer.json()["expires_in"] == 300
    authorization = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert world.client(None).raw("GET", "/v2/", headers=authorization).status == 200
    assert world.client(None).raw("GET", "/v2/team/a/manifests/v1", headers=authorization).status == 404


def test_what_is_no_login(world: World) -> None:
    """For another client of the provider, forged, our own bearer; or not at the token endpoint."""
    good = world.dex.by_password()
    assert "for others" in world.refused(world.dex.by_password("another"))
    head, body, signature = good.split(".")
    _, other, _ = world.dex.by_password(user="eve@example.test").split(".")
    assert "not signed by it" in world.refused(f"{head}.{other}.{signature}")
    assert "not signed by it" in world.refused(f"{head}.{body}.AAAA")
    assert "not signed by it" in world.refused(world.login(good).json()["token"])
    assert "password is wrong" in world.refused(f"{good}{'x' * 33_000}")
    for headers in (basic(good), {"Authorization": f"Bearer {good}"}):
        assert world.client(None).raw("GET", "/v2/", headers=headers).status == 401


def test_a_removed_provider_refuses_at_once(world: World) -> None:
    """Logins, and bearers that it was good for, at any replica that has the policy."""
    good = world.dex.by_password()
    bearer = {"Authorization": f"Bearer {world.login(good, 'repository:team/app:pull').json()['token']}"}
    path = "/v2/team/app/manifests/v1"
    assert world.client(None).raw("GET", path, headers=bearer).status == 404
    world.enforce(world.policy.model_copy(update={"oidc": {}}))
    assert world.client(None).raw("GET", path, headers=bearer).status == 401
    assert "password is wrong" in world.refused(good)


def test_who_has_a_provider_is_asked_to_log_in(world: World) -> None:
    """Even where something is granted to anybody: many clients decide at /v2/ whether they ever log in."""
    everybody = Grant(repositories=("open/**",), actions=READER)
    world.enforce(world.policy.model_copy(update={"anonymous": (everybody,)}))
    assert world.client(None).raw("GET", "/v2/").status == 401
    world.enforce(Policy(anonymous=(everybody,)))
    assert world.client(None).raw("GET", "/v2/").status == 200


def test_a_provider_may_be_away_and_come_back_with_other_keys(world: World) -> None:
    """What is known goes on without it; its new keys are known at once, and its old ones are good no more."""
    before = world.dex.by_password()
    assert world.login(before).status == 200
    world.dex.stop()
    assert world.login(before).status == 200
    world.dex.start()
    after = world.dex.by_password()
    assert until_known(world, after)
    assert "not signed by it" in world.refused(before)


def test_an_issuer_that_cannot_be_reached_is_told_before_anybody_logs_in(world: World) -> None:
    """With a CA that is not its own: the operator reads why, and nobody had to be refused first."""
    assert any(problem(world) is None or pause() for _ in range(20))

    stranger = Authority(world.replica.directory / "stranger").file.read_text()
    provider = world.policy.oidc["dex"].model_copy(update={"ca": stranger})
    world.enforce(world.policy.model_copy(update={"oidc": {"dex": provider}}))

    assert any("certificate verify failed" in (problem(world) or "") or pause() for _ in range(20))


def problem(world: World) -> str | None:
    """What the replica tells the operator of the provider; "" before it has looked."""
    told: dict[str, str | None] = world.replica.operator().raw("GET", "/state").json()["issuers"]
    return told.get("dex", "")


def until_known(world: World, id_token: str) -> bool:
    """A provider is asked at most once in five seconds for a key that is not known."""
    return any(world.login(id_token).status == 200 or pause() for _ in range(20))


def pause() -> bool:
    time.sleep(0.5)
    return False


def test_a_provider_that_was_never_there(world: World, tmp_path: Path) -> None:
    """503, with the time after which to try again; other logins go on."""
    provider = world.policy.oidc["dex"].model_copy(update={"issuer": "https://127.0.0.1:1/dex"})
    world.enforce(world.policy.model_copy(update={"oidc": {"dex": provider}}))
    head, _, signature = world.dex.by_password().split(".")
    claims = base64.urlsafe_b64encode(b'{"iss": "https://127.0.0.1:1/dex"}').decode().rstrip("=")
    answer = world.login(f"{head}.{claims}.{signature}")
    assert (answer.status, answer.code, answer["Retry-After"]) == (503, "UNAVAILABLE", "5")


def test_no_token_reaches_the_log(world: World) -> None:
    """Who it was does; of tokens, good or refused, not even a part."""
    tokens = [world.dex.by_password(), world.dex.by_password("another")]
    for one in tokens:
        world.login(one)
    log = world.replica.log
    assert f"dex:{ANNA}" in log
    for part in (part for one in tokens for part in one.split(".")[1:]):
        assert part not in log
