"""The keys of an issuer as they age, rotate, and cannot be had."""

from __future__ import annotations

import asyncio

import pytest

from registry_runtime.auth.id_token import KeySet, Published
from registry_runtime.auth.issuer_keys import IssuerKeys
from registry_runtime.errors import IssuerUnavailable
from tests.issuer import jwk, private_key

KEY = private_key("ES256")


class World:
    """An issuer that counts how often it is asked, and a clock."""

    def __init__(self, *key_ids: str) -> None:
        self.key_ids = key_ids
        self.now = 1000.0
        self.asked = 0
        self.fault: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.keys = IssuerKeys("https://issuer.example", self.ask, lambda: self.now)

    async def ask(self) -> Published:
        self.asked += 1
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        document = {"keys": [jwk(key_id, "ES256", KEY) for key_id in self.key_ids]}
        return Published("https://issuer.example", KeySet(document))

    async def has(self, key_id: str) -> bool | None:
        """None where nobody knows."""
        try:
            return bool(await self.keys.find(key_id))
        except IssuerUnavailable:
            return None


async def test_keys_are_kept_for_ten_minutes() -> None:
    """And are asked for again then: what the issuer withdrew is of no use any more."""
    world = World("a")
    assert await world.has("a")
    world.now += 600
    assert await world.has("a")
    assert world.asked == 1
    world.key_ids = ("b",)
    world.now += 1
    assert await world.has("a") is False
    assert world.asked == 2


async def test_a_new_key_is_known_at_once() -> None:
    """The issuer rotates: the first token with the new key asks for it."""
    world = World("a")
    assert await world.has("a")
    world.key_ids = ("a", "b")
    world.now += 5
    assert await world.has("b")
    assert await world.has("a")
    assert world.asked == 2


async def test_names_of_keys_do_not_flood_the_issuer() -> None:
    """A thousand tokens with a thousand names ask it once in five seconds, and disturb nobody."""
    world = World("a")
    assert await world.has("a")
    for number in range(1000):
        world.now += 0.01
        assert await world.has(f"flood-{number}") is False
        assert await world.has("a")
    assert world.asked <= 3


async def test_who_waits_waits_for_one_answer() -> None:
    """A hundred logins at once are one question; one that is given up ends nobody else's."""
    world = World("a")
    world.gate.clear()
    waiting = [asyncio.create_task(world.has("a")) for _ in range(100)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    world.gate.set()
    assert await asyncio.gather(*waiting[1:]) == [True] * 99
    assert world.asked == 1


async def test_an_issuer_may_be_away_for_hours(caplog: pytest.LogCaptureFixture) -> None:
    """Its keys stay in use for six, and it is asked twice a minute; a key that nobody knows waits for it."""
    world = World("a")
    assert await world.has("a")
    world.fault = TimeoutError()
    world.now += 601
    for _ in range(60):
        world.now += 1
        assert await world.has("a")
    assert world.asked == 3
    assert await world.has("new") is None
    assert caplog.text.count("does not say its keys") == 1
    world.now = 1000 + 6 * 3600
    assert await world.has("a")
    world.now += 1
    assert await world.has("a") is None
    world.fault = None
    world.now += 5
    assert await world.has("a")


@pytest.mark.parametrize("fault", [OSError("refused"), TimeoutError(), ValueError("HTTP 500")])
async def test_an_issuer_that_was_never_there(fault: Exception) -> None:
    """Nobody is let in, and nobody is told that the password was wrong; after seconds it is asked again."""
    world = World("a")
    world.fault = fault
    assert await world.has("a") is None
    assert await world.has("a") is None
    with pytest.raises(IssuerUnavailable):
        await world.keys.issuer()
    assert world.asked == 1
    world.fault = None
    world.now += 5
    assert await world.keys.issuer() == "https://issuer.example"
    assert await world.has("a")


async def test_an_issuer_is_known_before_the_first_login() -> None:
    """Its keys are asked for as they age, twice a minute while it is away; why it is away is said."""
    world = World("a")
    assert await world.keys.look() is None
    assert world.asked == 1
    assert await world.has("a")
    world.now += 600
    assert await world.keys.look() is None
    assert world.asked == 1

    world.fault = ValueError("HTTP 500")
    for _ in range(60):
        world.now += 1
        assert await world.keys.look() == "ValueError: HTTP 500"
    assert world.asked == 3
    assert await world.has("a")

    world.fault = None
    world.now += 29
    assert await world.keys.look() is None
