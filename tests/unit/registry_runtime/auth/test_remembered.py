"""What was let through before, and when that counts no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from registry_runtime.auth.decision import Decision, Reason
from registry_runtime.auth.gate import Gate
from registry_runtime.auth.identity import ANYBODY, Endpoint, Identity
from registry_runtime.auth.remembered import Key, Passed, Remembered
from registry_runtime.auth.throttle import Throttle
from registry_runtime.auth.tokens import Bearers
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.policy import Action, Policy, Token

START = datetime(2026, 1, 1, tzinfo=UTC)
ID = "0" * 16
YES = Decision(Reason.GRANTED, Endpoint.PUBLIC, RepositoryName("team/app"), Action.PULL)


def key(credentials: bytes = b"Bearer x", action: Action = Action.PULL) -> Key:
    return credentials, Endpoint.PUBLIC, "team/app", action


class Door:
    """A gate whose time and policy are a test's."""

    def __init__(self) -> None:
        self.now = START
        token = Token(account="a", owner="u", hashes=(), grants=(), not_after=START + timedelta(hours=1))
        self.policy = Policy(tokens={ID: token})
        self.bearers = Bearers.generate("ns/reg")
        throttle = Throttle(clock=lambda: 0.0)
        self.gate = Gate(
            lambda: self.policy, self.bearers, throttle, bearer_seconds=300, clock=lambda: self.now
        )


@pytest.fixture
def door() -> Door:
    return Door()


def test_the_same_request_is_recalled(door: Door) -> None:
    """By all that its decision depends on: another action is another request."""
    door.gate.remember(key(), Identity(ID), YES)
    assert door.gate.recall(key()) is not None
    assert door.gate.recall(key(action=Action.PUSH)) is None
    assert door.gate.recall(key(b"Bearer y")) is None


@pytest.mark.parametrize(
    ("identity", "life"),
    [(Identity(ID, expires=int(START.timestamp()) + 60), 60), (Identity(ID), 3600)],
    ids=["bearer", "access token"],
)
def test_it_ends_with_what_let_it_through(door: Door, identity: Identity, life: int) -> None:
    """With the bearer or with the AccessToken, whichever ends first, to the second."""
    door.gate.remember(key(), identity, YES)
    door.now = START + timedelta(seconds=life - 1)
    assert door.gate.recall(key()) is not None
    door.now = START + timedelta(seconds=life)
    assert door.gate.recall(key()) is None


def test_nothing_outlives_the_policy(door: Door) -> None:
    """What was taken away is refused by the next request."""
    door.gate.remember(key(), Identity(ID), YES)
    door.policy = door.policy.model_copy()
    assert door.gate.recall(key()) is None


def test_nothing_outlives_a_change_of_keys(door: Door) -> None:
    """A bearer of a key that is good no more must be looked at."""
    door.gate.remember(key(), Identity(ID), YES)
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    assert door.bearers.learn(pem, 0)
    assert door.gate.recall(key()) is None


def test_it_is_bounded_in_bytes() -> None:
    """The oldest go; credentials of unusual length are not kept at all."""
    passed = Passed(ANYBODY, YES, 1.0)
    memory = Remembered(most=100_000)
    for number in range(1000):
        memory.keep(key(b"%d" % number), passed)
    kept = [number for number in range(1000) if memory.find(key(b"%d" % number), 0)]
    assert kept == list(range(1000 - len(kept), 1000))
    assert 50 < len(kept) < 100
    memory.keep(key(b"x" * 5000), passed)
    assert memory.find(key(b"x" * 5000), 0) is None
