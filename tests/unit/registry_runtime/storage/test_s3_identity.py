"""Keys of a role: renewed in time, once for all who wait, and used to their end where that fails."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest
from botocore.credentials import ReadOnlyCredentials

from registry_runtime.errors import StorageUnavailable
from registry_runtime.storage.s3.identity import AssumedRole, Keys

START = datetime(2026, 1, 1, tzinfo=UTC)


class Sts:
    """Gives keys for an hour, numbered, when it is let."""

    def __init__(self) -> None:
        self.now = START
        self.asked = 0
        self.away = False
        self.open = threading.Event()
        self.open.set()

    def assume(self) -> Keys:
        self.open.wait(10)
        self.asked += 1
        if self.away:
            raise StorageUnavailable("the STS is away")
        keys = ReadOnlyCredentials(f"AK{self.asked}", "secret", "token", None)
        return Keys(keys, self.now, self.now + timedelta(hours=1))


@pytest.fixture
def sts() -> Sts:
    return Sts()


@pytest.fixture
def role(sts: Sts) -> AssumedRole:
    return AssumedRole(sts.assume, lambda: sts.now)


async def key(role: AssumedRole) -> str | None:
    return (await role.current()).access_key


async def renewed(role: AssumedRole) -> None:
    """Until nothing is being renewed."""
    while role._renewal:
        await asyncio.sleep(0.001)


async def test_all_who_wait_share_one_answer(sts: Sts, role: AssumedRole) -> None:
    """A hundred requests at the start ask once, also when the first of them is given up."""
    sts.open.clear()
    first = asyncio.create_task(key(role))
    others = [asyncio.create_task(key(role)) for _ in range(100)]
    await asyncio.sleep(0)
    first.cancel()
    sts.open.set()
    assert set(await asyncio.gather(*others)) == {"AK1"}
    assert sts.asked == 1


async def test_they_are_renewed_beside_the_requests(sts: Sts, role: AssumedRole) -> None:
    """In the last third of their life, while the good ones go on being used."""
    assert await key(role) == "AK1"
    sts.now += timedelta(minutes=39)
    assert await key(role) == "AK1"
    assert role._renewal is None
    sts.now += timedelta(minutes=2)
    sts.open.clear()
    assert [await key(role) for _ in range(5)] == ["AK1"] * 5
    sts.open.set()
    await renewed(role)
    assert await key(role) == "AK2"
    assert sts.asked == 2


async def test_what_is_good_is_used_to_its_end(sts: Sts, role: AssumedRole) -> None:
    """An STS that is away is asked every ten seconds, and missed only when the keys have ended."""
    assert await key(role) == "AK1"
    sts.away = True
    sts.now += timedelta(minutes=45)
    for _ in range(3):
        assert await key(role) == "AK1"
        await renewed(role)
    assert sts.asked == 2
    sts.now += timedelta(seconds=11)
    assert await key(role) == "AK1"
    await renewed(role)
    assert sts.asked == 3
    sts.now += timedelta(minutes=15)
    with pytest.raises(StorageUnavailable):
        await key(role)
    sts.away = False
    assert await key(role) == "AK5"
