"""From a token to an identity, and to a bearer: who is asked, who is believed, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from registry_runtime.auth.credentials import Bearer
from registry_runtime.auth.gate import Asker, Gate
from registry_runtime.auth.id_token import KeySet, Published
from registry_runtime.auth.identity import Endpoint, Identity
from registry_runtime.auth.scope import Scopes
from registry_runtime.auth.throttle import Throttle
from registry_runtime.auth.tokens import Bearers
from registry_runtime.auth.vouching import Vouching
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.credential import Password
from registry_runtime.contract.policy import Access, Action, Claim, Policy
from registry_runtime.contract.subject import KubernetesProvider, OidcProvider, oidc, service_account
from registry_runtime.errors import Denied, IssuerUnavailable, TooManyRequests, Unauthorized
from tests.issuer import jwk, private_key

CI, DEX, CLUSTER = "https://ci.example", "https://dex.example", "https://kubernetes.default.svc"
APP = RepositoryName.parse("team/app")
KEYS = {name: private_key("ES256") for name in (CI, DEX, CLUSTER)}
PULL = Scopes.parse(["repository:team/app:pull"])


def access(*subjects: str) -> Claim:
    granted = Access(repositories=("team/**",), actions=frozenset({Action.PULL}), subjects=subjects)
    return Claim(account="a", owner="uid", access=(granted,))


class World:
    """Two providers and a cluster, whose keys have the same name; clocks that a test turns."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.asked: list[str] = []
        self.away = False
        self.reviews: list[str] = []
        self.user: str | None = "system:serviceaccount:shop:web"
        self.policy = Policy(
            namespaces={
                "team": access(oidc("ci", {"repository": "shop/*"}), service_account("shop", "web")),
            },
            oidc={
                "ci": OidcProvider(issuer=CI, audience="registry"),
                "dex": OidcProvider(issuer=DEX, audience="registry"),
            },
            kubernetes=KubernetesProvider(audience="registry"),
        )
        clock = lambda: datetime.fromtimestamp(self.now, UTC)  # noqa: E731
        self.bearers = Bearers.generate("ns/reg")
        self.gate = Gate(
            lambda: self.policy,
            self.bearers,
            Throttle(burst=3, per_second=1, clock=lambda: self.now),
            bearer_seconds=300,
            clock=clock,
        )
        self.vouching = Vouching(
            lambda: self.policy, self.gate, self.ask, self, clock=clock, ticks=lambda: self.now
        )

    async def ask(self, provider: OidcProvider) -> Published:
        return self.say(provider.issuer)

    async def published(self) -> Published:
        return self.say(CLUSTER)

    def say(self, issuer: str) -> Published:
        self.asked.append(issuer)
        if self.away:
            raise TimeoutError
        return Published(issuer, KeySet({"keys": [jwk("same", "ES256", KEYS[issuer])]}))

    async def reviewed(self, token: str, audience: str) -> str | None:
        assert audience == "registry"
        self.reviews.append(token)
        if self.away:
            raise IssuerUnavailable("", retry_after=1)
        return self.user

    def token(self, issuer: str, key: str | None = None, **claims: Any) -> str:
        known = {
            "iss": issuer,
            "aud": "registry",
            "sub": "system:serviceaccount:shop:web" if issuer == CLUSTER else "anna",
            "exp": int(self.now) + 3600,
            "repository": "shop/web",
        }
        return jwt.encode(known | claims, KEYS[key or issuer], "ES256", headers={"kid": "same"})

    async def login(self, password: str) -> Identity:
        return await self.vouching.identify(password, "192.0.2.1", PULL)

    async def bearer(self, password: str) -> str:
        return self.gate.issue(Asker(await self.login(password), Endpoint.PUBLIC), PULL).text

    async def life(self, password: str) -> int:
        return self.gate.issue(Asker(await self.login(password), Endpoint.PUBLIC), PULL).seconds

    def pull(self, bearer: str) -> str:
        identity = self.gate.identify(Bearer(bearer), "192.0.2.1")
        return self.gate.admit(Asker(identity, Endpoint.PUBLIC), APP, Action.PULL).reason

    async def refused(self, password: str) -> str | None:
        self.now += 60  # the throttle is another test's
        with pytest.raises(Unauthorized) as caught:
            await self.login(password)
        assert password not in caught.value.message
        return caught.value.reason


async def test_a_token_becomes_a_bearer_that_pulls() -> None:
    """Of CI by its claims, of a pod by its ServiceAccount; who has neither may ask, and is denied."""
    world = World()
    who = await world.login(world.token(CI))
    assert (who.who, who.source) == ("ci:anna", "192.0.2.1")
    for issuer in (CI, CLUSTER):
        assert world.pull(await world.bearer(world.token(issuer))) == "Granted"
    for stranger in (world.token(DEX), world.token(CI, repository="other/web")):
        with pytest.raises(Denied):
            world.pull(await world.bearer(stranger))
    assert world.asked == [CI, CLUSTER, DEX]


async def test_only_named_issuers_are_asked() -> None:
    """A token cannot send us anywhere, and says the same whether its issuer is wrong or its signature."""
    world = World()
    for issuer in ("https://evil.example", "http://169.254.169.254", f"{CI}/", CI.upper(), "ns/reg", ""):
        assert await world.refused(world.token(CI, iss=issuer)) == "IdTokenRefused"
    assert set(world.asked) == {CLUSTER}
    assert await world.refused(world.token(CI, key=DEX)) == "IdTokenRefused"
    assert await world.refused(world.token(CLUSTER, key=CI)) == "IdTokenRefused"
    assert await world.refused(world.token(CI, aud="other")) == "IdTokenForOthers"


async def test_our_own_bearer_is_no_login() -> None:
    """Or it would be renewed for ever."""
    world = World()
    assert await world.refused(await world.bearer(world.token(CI))) == "IdTokenRefused"


async def test_a_removed_provider_refuses_at_once() -> None:
    """Its tokens, and the bearers that it was good for; its keys are forgotten."""
    world = World()
    text = world.token(CI)
    bearer = await world.bearer(text)
    assert world.pull(bearer) == "Granted"
    providers = world.policy.oidc
    world.policy = world.policy.model_copy(update={"oidc": {"dex": providers["dex"]}})
    with pytest.raises(Unauthorized) as caught:
        world.pull(bearer)
    assert caught.value.reason == "ProviderUnknown"
    assert await world.refused(text) == "IdTokenRefused"
    world.policy = world.policy.model_copy(update={"oidc": providers})
    assert world.pull(bearer) == "Granted"
    await world.login(text)
    assert world.asked.count(CI) == 2


async def test_another_access_is_in_force_at_the_next_login() -> None:
    """And what has nothing to do with it leaves the subjects as they are."""
    world = World()
    before = oidc("ci", {"repository": "shop/*"})
    after = oidc("ci", {"repository": "shop/web"})
    assert (await world.login(world.token(CI))).subjects == {before}
    world.policy = world.policy.model_copy(update={"private_only": True})
    assert (await world.login(world.token(CI))).subjects == {before}
    world.policy = world.policy.model_copy(update={"namespaces": {"team": access(after)}})
    assert (await world.login(world.token(CI))).subjects == {after}


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": DEX},
        {"audience": "harbour"},
        {"claims": {"repository": "shop/other"}},
        {"claims": {"repository": "**"}},
        {"user": "repository"},
    ],
)
async def test_other_rules_of_a_provider_end_its_bearers(change: dict[str, Any]) -> None:
    """At once: nobody was let in by these; what does not say whom it lets in may change."""
    world = World()
    provider = world.policy.oidc["ci"]
    bearer = await world.bearer(world.token(CI))
    for update, good in (({"ca": "another"}, True), (change, False), ({}, True)):
        world.policy = world.policy.model_copy(update={"oidc": {"ci": provider.model_copy(update=update)}})
        if good:
            assert world.pull(bearer) == "Granted"
        else:
            with pytest.raises(Unauthorized) as caught:
                world.pull(bearer)
            assert caught.value.reason == "ProviderUnknown"


async def test_reviews_from_now_on_end_the_bearers_of_before() -> None:
    """A pod that is gone may have one of them."""
    world = World()
    bearer = await world.bearer(world.token(CLUSTER))
    assert world.pull(bearer) == "Granted"
    reviewing = KubernetesProvider(audience="registry", review=True)
    world.policy = world.policy.model_copy(update={"kubernetes": reviewing})
    with pytest.raises(Unauthorized):
        world.pull(bearer)
    assert world.pull(await world.bearer(world.token(CLUSTER))) == "Granted"


async def test_one_issuer_may_have_several_providers() -> None:
    """Each with its audience and its rules: the first that takes the token speaks."""
    world = World()
    first = OidcProvider(issuer=CI, audience="registry", claims={"environment": "prod"})
    world.policy = world.policy.model_copy(update={"oidc": {"prod": first, "ci": world.policy.oidc["ci"]}})
    assert (await world.login(world.token(CI))).provider == "ci"
    assert (await world.login(world.token(CI, environment="prod"))).provider == "prod"
    assert world.asked == [CI]


async def test_a_bearer_is_no_longer_good_than_its_token() -> None:
    """A minute for clocks that differ is added to both."""
    world = World()
    assert await world.life(world.token(CI)) == 300
    assert await world.life(world.token(CI, exp=int(world.now) + 100)) == 160
    assert await world.life(world.token(CI, exp=int(world.now) - 59)) == 1
    assert await world.refused(world.token(CI, exp=int(world.now))) == "IdTokenExpired"


async def test_failed_logins_are_throttled_by_their_source() -> None:
    """Whatever stands in the tokens; a good one passes all the same."""
    world = World()
    outcomes = []
    for number in range(6):
        with pytest.raises((Unauthorized, TooManyRequests)) as caught:
            await world.login(world.token(CI, iss=f"https://{number}.example"))
        outcomes.append(type(caught.value))
    assert outcomes == [Unauthorized] * 3 + [TooManyRequests] * 3
    assert (await world.login(world.token(CI))).name == "anna"


async def test_an_issuer_that_is_away_refuses_nobody_for_good() -> None:
    """503 says that a retry may help; who is known already goes on."""
    world = World()
    world.away = True
    with pytest.raises(IssuerUnavailable):
        await world.login(world.token(CI))
    world.away, world.now = False, world.now + 5
    assert (await world.login(world.token(CI))).name == "anna"
    world.away, world.now = True, world.now + 3600
    assert (await world.login(world.token(CI))).name == "anna"


async def test_issuers_are_asked_before_anybody_logs_in() -> None:
    """Those that the policy names, all at a time; by provider it is said which of them is away."""
    world = World()
    assert await world.vouching.look() == {"ci": None, "dex": None}
    assert world.asked == [CI, DEX]
    await world.login(world.token(CI))
    assert world.asked == [CI, DEX]

    world.away, world.now = True, world.now + 601
    assert await world.vouching.look() == {"ci": "TimeoutError: ", "dex": "TimeoutError: "}
    world.policy = world.policy.model_copy(update={"oidc": {}})
    assert await world.vouching.look() == {}
    assert not world.vouching._issuers


async def test_a_review_is_remembered_for_ten_seconds() -> None:
    """Only a yes, only of this token; and its bearer lives a minute at most."""
    world = World()
    world.policy = world.policy.model_copy(
        update={"kubernetes": KubernetesProvider(audience="registry", review=True)}
    )
    text = world.token(CLUSTER)
    assert await world.life(text) == 60
    await world.login(text)
    assert world.reviews == [text]
    assert await world.life(world.token(CLUSTER, exp=int(world.now) - 30)) == 30
    world.user, world.now = None, world.now + 10
    for _ in range(2):
        assert await world.refused(text) == "IdTokenRevoked"
    assert world.reviews.count(text) == 3
    world.user = "system:serviceaccount:shop:other"
    assert await world.refused(text) == "IdTokenRevoked"
    world.away = True
    with pytest.raises(IssuerUnavailable):
        await world.login(text)


async def test_a_forged_token_is_not_reviewed() -> None:
    """The API server is asked about tokens that the cluster has signed for this registry, and no others."""
    world = World()
    world.policy = world.policy.model_copy(
        update={"kubernetes": KubernetesProvider(audience="registry", review=True)}
    )
    await world.refused(world.token(CLUSTER, key=CI))
    await world.refused(world.token(CLUSTER, aud="https://kubernetes.default.svc"))
    await world.refused(world.token(CLUSTER, exp=1))
    assert world.reviews == []


def test_what_is_for_those_who_vouch() -> None:
    """A token, while there is somebody who vouches: all else is for the gate."""
    world = World()
    assert world.vouching.takes(world.token(CI))
    assert not world.vouching.takes(Password.generate("0" * 16).text)
    world.policy = Policy()
    assert not world.vouching.takes(world.token(CI))
