"""Tokens of ServiceAccounts as a real API server makes and reviews them, with a replica's own rights."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry_runtime import issuers, kubernetes
from registry_runtime.auth.gate import Asker, Gate
from registry_runtime.auth.identity import Endpoint, Identity
from registry_runtime.auth.scope import Scopes
from registry_runtime.auth.throttle import Throttle
from registry_runtime.auth.tokens import Bearers
from registry_runtime.auth.vouching import Vouching
from registry_runtime.contract.policy import Policy
from registry_runtime.contract.subject import KubernetesProvider
from registry_runtime.errors import IssuerUnavailable, Unauthorized
from tests.operator.apiserver import ApiServer, Object, Refusal

pytestmark = pytest.mark.cluster

AUDIENCE = "registry.example.test"
CORE = "/api/v1/namespaces/default"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture(scope="module")
def api(fresh: ApiServer) -> ApiServer:
    for name in ("replica", "web"):
        fresh.apply(f"{CORE}/serviceaccounts/{name}", thing("v1", "ServiceAccount", name))
    until_published(fresh)
    return fresh


def until_published(api: ApiServer) -> None:
    """An API server that has just started still writes the roles that every cluster has."""
    replica = replace(api, token=token(api, "replica", "https://kubernetes.default.svc"))
    ends = time.monotonic() + 30
    while True:
        try:
            replica.ask("GET", "/.well-known/openid-configuration")
        except Refusal:
            assert time.monotonic() < ends
            time.sleep(0.05)
        else:
            return


def thing(version: str, kind: str, name: str, **fields: object) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}


def token(api: ApiServer, account: str, *audiences: str, bound: Object | None = None) -> str:
    """As the kubelet asks for one; `bound` is the pod, without which it is good no more."""
    spec: Object = {"audiences": list(audiences), "expirationSeconds": 600}
    if bound is not None:
        spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": bound["metadata"]["name"]}
        spec["boundObjectRef"]["uid"] = bound["metadata"]["uid"]
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    made = api.ask("POST", f"{CORE}/serviceaccounts/{account}/token", request)
    return str(made["status"]["token"])


def pod(api: ApiServer, name: str) -> Object:
    spec = {"serviceAccountName": "web", "containers": [{"name": "c", "image": "none"}]}
    return api.ask("POST", f"{CORE}/pods", thing("v1", "Pod", name, spec=spec))


def may_review(api: ApiServer, *, may: bool) -> None:
    """The ClusterRole that docs/keyless.md names, bound to the replicas' ServiceAccount, or not."""
    rule = {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}
    role = thing("rbac.authorization.k8s.io/v1", "ClusterRole", "review", rules=[rule])
    bound = thing(
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        "review",
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "review"},
        subjects=[{"kind": "ServiceAccount", "name": "replica", "namespace": "default"}] if may else [],
    )
    api.apply(f"{RBAC}/clusterroles/review", role)
    api.apply(f"{RBAC}/clusterrolebindings/review", bound)


@dataclass
class World:
    """A gate of a replica whose clocks a test may turn."""

    door: kubernetes.ApiServer
    policy: Policy = field(default_factory=lambda: Policy(kubernetes=KubernetesProvider(audience=AUDIENCE)))
    later: float = 0.0

    def __post_init__(self) -> None:
        self.gate = Gate(
            lambda: self.policy,
            Bearers.generate("ns/reg"),
            Throttle(clock=time.monotonic),
            bearer_seconds=300,
            clock=self.now,
        )
        self.vouching = Vouching(
            lambda: self.policy,
            self.gate,
            issuers.published,
            kubernetes.ServiceAccounts(self.door),
            clock=self.now,
            ticks=lambda: time.monotonic() + self.later,
        )

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.later, UTC)

    async def login(self, password: str) -> Identity:
        assert self.vouching.takes(password)
        return await self.vouching.identify(password, "192.0.2.1", Scopes())

    def life(self, identity: Identity) -> int:
        """Seconds of the bearer that it is given."""
        return self.gate.issue(Asker(identity, Endpoint.PUBLIC), Scopes()).seconds

    async def refused(self, password: str) -> str | None:
        with pytest.raises(Unauthorized) as caught:
            await self.login(password)
        assert password not in str(caught.value)
        return caught.value.reason


@pytest.fixture
def world(api: ApiServer, tmp_path: Path) -> World:
    """With no more rights than every ServiceAccount has."""
    made = token(api, "replica", "https://kubernetes.default.svc")
    (tmp_path / "token").write_text(made)
    may_review(api, may=False)
    return World(kubernetes.ApiServer(api.url, tmp_path / "token", api.certificate))


async def test_a_service_account_is_known_by_its_token(api: ApiServer, world: World) -> None:
    """By its name and its namespace's, and by nothing else; the bearer is a usual one."""
    who = await world.login(token(api, "web", AUDIENCE))
    assert who.who == "kubernetes:default/web"
    assert who.subjects == {"serviceaccount:default/web", "serviceaccount:default/*"}
    assert world.life(who) == 300
    assert (await world.login(token(api, "web", "others", AUDIENCE))).name == "default/web"


async def test_a_token_for_others_is_no_login(api: ApiServer, world: World) -> None:
    """One that every pod has for the API server least of all; and none whose time is over."""
    assert await world.refused(token(api, "web", "https://kubernetes.default.svc")) == "IdTokenForOthers"
    assert await world.refused(token(api, "web", f"{AUDIENCE}.evil")) == "IdTokenForOthers"
    good = token(api, "web", AUDIENCE)
    head, body, signature = good.split(".")
    assert await world.refused(f"{head}.{body}.{signature[::-1]}") == "IdTokenRefused"
    world.later = 650  # its 600 seconds are over, the minute for clocks that differ is not
    assert world.life(await world.login(good)) <= 10
    world.later = 661
    assert await world.refused(good) == "IdTokenExpired"


async def test_a_review_knows_that_the_pod_is_gone(api: ApiServer, world: World) -> None:
    """Without review its token is good until it expires; with it, for seconds, and a bearer for a minute."""
    lasting = pod(api, "lasting")
    bound = token(api, "web", AUDIENCE, bound=lasting)
    review = Policy(kubernetes=KubernetesProvider(audience=AUDIENCE, review=True))
    may_review(api, may=True)
    world.policy = review
    await until_may_review(world, bound)
    assert world.life(await world.login(bound)) == 60
    assert await world.refused(token(api, "web", "others")) == "IdTokenForOthers"
    api.ask("DELETE", f"{CORE}/pods/lasting?gracePeriodSeconds=0")
    world.policy = Policy(kubernetes=KubernetesProvider(audience=AUDIENCE))
    assert (await world.login(bound)).name == "default/web"
    world.policy = review
    world.later = 11
    async with asyncio.timeout(30):  # the API server itself remembers for ten seconds what it verified
        while not await gone(world, bound):
            await asyncio.sleep(0.5)
    assert await world.refused(bound) == "IdTokenRevoked"


async def gone(world: World, password: str) -> bool:
    world.later += 11
    try:
        await world.login(password)
    except Unauthorized:
        return True
    return False


async def until_may_review(world: World, password: str) -> None:
    """Rights take a moment to be in force."""
    async with asyncio.timeout(30):
        while True:
            try:
                await world.login(password)
            except IssuerUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def test_who_cannot_be_asked_lets_nobody_in(
    api: ApiServer, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither without the right to ask for reviews, nor without an API server; the log says what lacks."""
    good = token(api, "web", AUDIENCE)
    await world.login(good)
    world.policy = Policy(kubernetes=KubernetesProvider(audience=AUDIENCE, review=True))
    with pytest.raises(IssuerUnavailable):
        await world.login(good)
    assert "TokenReviews" in caplog.text
    lost = World(kubernetes.ApiServer("https://127.0.0.1:1", world.door.token, world.door.ca), world.policy)
    with pytest.raises(IssuerUnavailable):
        await lost.login(good)
    assert good not in caplog.text
