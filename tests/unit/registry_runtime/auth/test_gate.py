"""From credentials to an identity, and through the gate."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from registry_runtime.auth import gate
from registry_runtime.auth.credentials import Basic, Bearer, Unreadable
from registry_runtime.auth.gate import Asker, Gate
from registry_runtime.auth.identity import ANYBODY, Endpoint, Identity
from registry_runtime.auth.scope import Scopes
from registry_runtime.auth.throttle import Throttle
from registry_runtime.auth.tokens import Bearers, Claims
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.credential import Password
from registry_runtime.contract.policy import Action, Claim, Grant, Policy, Token
from registry_runtime.errors import Denied, TooManyRequests, Unauthorized

APP = RepositoryName.parse("team/app")
START = datetime(2026, 11, 21, tzinfo=UTC)


class World:
    """A gate with a clock and a policy that a test can turn."""

    def __init__(self) -> None:
        self.now = START
        self.password = Password.generate("0" * 16)
        self.token = Token(
            account="a",
            owner="uid",
            hashes=(self.password.sha256,),
            grants=(Grant(repositories=("team/**",), actions=frozenset(Action)),),
        )
        self.policy = Policy(
            namespaces={"team": Claim(account="a", owner="uid")}, tokens={self.password.id: self.token}
        )
        self.bearers = CountingBearers.generate("ns/reg")
        self.gate = Gate(
            lambda: self.policy,
            self.bearers,
            Throttle(burst=3, per_second=1, clock=self.seconds),
            bearer_seconds=300,
            clock=lambda: self.now,
        )

    def seconds(self) -> float:
        return self.now.timestamp()

    def change(self, **fields: object) -> None:
        token = self.token.model_copy(update=fields)
        self.policy = self.policy.model_copy(update={"tokens": {self.password.id: token}})

    def bearer(self, *scopes: str) -> Bearer:
        asker = Asker(Identity(self.password.id), Endpoint.PUBLIC)
        return Bearer(self.gate.issue(asker, Scopes.parse(scopes)).text)

    def may(self, credentials: Basic | Bearer, action: Action = Action.PULL) -> None:
        identity = self.gate.identify(credentials, "192.0.2.1")
        self.gate.admit(Asker(identity, Endpoint.PUBLIC), APP, action)


class CountingBearers(Bearers):
    verified = 0

    def verify(self, text: str) -> Claims:
        self.verified += 1
        return super().verify(text)


def test_a_password_and_a_bearer_let_in() -> None:
    """The password itself, and the short-lived bearer it was exchanged for."""
    world = World()
    world.may(Basic(world.password.text), Action.DELETE)
    world.may(world.bearer("repository:team/app:pull"))


def test_a_bearer_is_for_its_scopes() -> None:
    """What was not asked for is answered with the scope to ask for."""
    world = World()
    with pytest.raises(Unauthorized) as refused:
        world.may(world.bearer("repository:team/app:pull"), Action.PUSH)
    assert refused.value.scope == "repository:team/app:pull,push"


def test_a_bearer_never_exceeds_the_policy() -> None:
    """A scope that is not granted is left out of the bearer, silently as the token flow wants it."""
    world = World()
    world.change(grants=(Grant(repositories=("team/**",), actions=frozenset({Action.PULL})),))
    bearer = world.bearer("repository:team/app:pull,push", "repository:other/app:pull")
    assert world.bearers.verify(bearer.text).scopes.repositories == {"team/app": {Action.PULL}}


def test_a_lost_token_is_refused_under_an_unexpired_bearer() -> None:
    """Deleted, suspended and expired AccessTokens end at once, whatever their bearers say."""
    world = World()
    bearer = world.bearer("repository:team/app:pull")
    world.may(bearer)
    for change in ({"suspended": True}, {"not_after": START}):
        world.change(**change)
        with pytest.raises(Unauthorized):
            world.may(bearer)
        with pytest.raises(Unauthorized):
            world.may(Basic(world.password.text))
    world.policy = world.policy.model_copy(update={"tokens": {}})
    with pytest.raises(Unauthorized):
        world.may(bearer)


def test_a_grant_taken_away_is_denied_at_once() -> None:
    """The policy of now decides, not that of the bearer's issue."""
    world = World()
    bearer = world.bearer("repository:team/app:pull")
    world.change(grants=())
    with pytest.raises(Denied):
        world.may(bearer)


def test_an_expired_bearer_is_challenged() -> None:
    """After its time a bearer must be replaced; a moment before it is good."""
    world = World()
    bearer = world.bearer("repository:team/app:pull")
    world.now += timedelta(seconds=299)
    world.may(bearer)
    world.now += timedelta(seconds=1)
    with pytest.raises(Unauthorized):
        world.may(bearer)


def test_a_bearer_from_the_future_is_refused() -> None:
    """Another replica's clock may be a minute ahead, not more."""
    world = World()
    bearer = world.bearer("repository:team/app:pull")
    world.now -= timedelta(seconds=59)
    world.may(bearer)
    world.now -= timedelta(seconds=2)
    with pytest.raises(Unauthorized):
        world.may(bearer)


def test_a_signature_is_verified_once_under_a_policy() -> None:
    """What was verified is remembered by its text, until the policy is another one."""
    world = World()
    bearer = world.bearer("repository:team/app:pull")
    for _ in range(5):
        world.may(bearer)
    assert world.bearers.verified == 1
    world.change()
    world.may(bearer)
    assert world.bearers.verified == 2


def test_a_key_that_was_forgotten_is_not_remembered() -> None:
    """Who made the signing key anew because it was stolen has it gone in all replicas, cached or not."""
    world = World()
    bearer = world.bearer("repository:team/app:pull")
    world.may(bearer)
    key = ec.generate_private_key(ec.SECP256R1())
    now = world.seconds()
    world.bearers.learn(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), now)
    world.may(bearer)
    world.bearers.forget(now + 3600)
    with pytest.raises(Unauthorized, match="not one of this registry"):
        world.may(bearer)


@pytest.mark.parametrize("wrong", ["", "hunter2", "rst_" + "0" * 16 + "_" + "0" * 58])
def test_wrong_passwords_are_refused_and_then_throttled(wrong: str) -> None:
    """401 for the burst, 429 after it; and a right password passes all the while."""
    world = World()
    for _ in range(3):
        with pytest.raises(Unauthorized):
            world.gate.identify(Basic(wrong), "192.0.2.1")
    with pytest.raises(TooManyRequests) as refused:
        world.gate.identify(Basic(wrong), "192.0.2.1")
    assert 0 < refused.value.retry_after <= 1
    world.may(Basic(world.password.text))


def test_a_right_id_with_a_wrong_secret_is_wrong() -> None:
    """The id is no secret, so it is worth nothing alone; two passwords may be valid at once."""
    world = World()
    other = Password.generate(world.password.id)
    with pytest.raises(Unauthorized):
        world.gate.identify(Basic(other.text), "192.0.2.1")
    world.change(hashes=(world.password.sha256, other.sha256))
    world.may(Basic(other.text))
    world.may(Basic(world.password.text))


@pytest.mark.parametrize("passwords", [None, 0, 1, 2])
def test_a_login_takes_the_same_way_for_every_id(
    monkeypatch: pytest.MonkeyPatch, passwords: int | None
) -> None:
    """Unknown, without a password, with one, or with two: as many comparisons, of as many characters."""
    world = World()
    others = [Password.generate(world.password.id).sha256 for _ in range(2)]
    if passwords is not None:
        world.change(hashes=tuple(others[:passwords]))
    asked = Password.generate(world.password.id if passwords is not None else "f" * 16)
    compared: list[tuple[int, int]] = []

    def comparing(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(gate, "hmac", SimpleNamespace(compare_digest=comparing))
    with pytest.raises(Unauthorized) as refused:
        world.gate.identify(Basic(asked.text), "192.0.2.1")
    assert compared == [(64, 64)] * 2
    assert refused.value.reason == "TokenUnknown"


def test_unreadable_credentials_are_not_taken_for_none() -> None:
    """Who sends something is never treated as anybody."""
    with pytest.raises(Unauthorized):
        World().gate.identify(Unreadable(), "192.0.2.1")


def test_clients_are_asked_to_log_in_where_there_is_a_token() -> None:
    """`/v2/` lets nobody through without credentials, unless there is nothing to log in with."""
    world = World()
    anybody = Asker(ANYBODY, Endpoint.PUBLIC)
    with pytest.raises(Unauthorized):
        world.gate.ping(anybody)
    world.policy = Policy(anonymous=(Grant(repositories=("**",), actions=frozenset(Action)),))
    world.gate.ping(anybody)
    world.policy = Policy()
    with pytest.raises(Unauthorized):
        world.gate.ping(anybody)
