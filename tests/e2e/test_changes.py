"""What a platform team does to a Registry in a year, in minutes, under a steady load: no request fails.

The whole, with more replicas and a figure for each change, is `make bench-changes`. Keys of storage and of
encryption are turned in test_s3_servers and test_encryption, zones are lost in tests/faults.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.e2e.changing import ZONES, Changing
from tests.e2e.load import Load
from tests.e2e.platform import Platform

pytestmark = pytest.mark.cluster
CLAIM = "quayside"


@pytest.fixture(scope="module")
def changing(platform: Platform) -> Iterator[Changing]:
    registry = Changing(platform, "changing", CLAIM)
    registry.change()
    with registry.claimed():
        yield registry


@asynccontextmanager
async def loaded(registry: Changing, name: str) -> AsyncIterator[Load]:
    """A load for the time of the block, of which nothing failed and nothing is lost."""
    load = Load(registry.client(timeout=30), f"{CLAIM}/{name}", workers=3)
    async with load.steady():
        await asyncio.sleep(1)
        yield load
        await asyncio.sleep(1)
    print(f"{name}: {load.summary()}")
    assert load.failures == []
    assert len(load.acknowledged) > 5
    assert await load.lost() == []


async def test_certificate_and_ca_change_under_load(changing: Changing) -> None:
    """A new certificate, then a new CA: announced, signing, the old one gone; no replica restarts."""
    restarts = changing.restarts
    async with loaded(changing, "certificates") as load:
        await asyncio.to_thread(changing.renew)
        await changing.turn_ca(load, notice=8)
    assert changing.restarts == restarts
    (only,) = changing.trusted()
    for one in changing.served():
        one.verify_directly_issued_by(only)


async def test_an_autoscaler_takes_the_replicas_and_lets_go(changing: Changing) -> None:
    """3, then 4 because it wants no fewer, then 3 again: as many as it says, spread anew each time."""
    async with loaded(changing, "numbers"):
        await asyncio.to_thread(changing.change, autoscaling={"minReplicas": 4, "maxReplicas": 4})
        await asyncio.to_thread(changing.until_replicas, 4, 4)
        await asyncio.to_thread(changing.change, autoscaling=None)
        await asyncio.to_thread(changing.until_replicas, 3, 3)
    assert changing.status["desiredReplicas"] == 3


async def test_a_node_is_drained(changing: Changing) -> None:
    """Its replica is evicted as the budget allows, finishes what runs, and is back in its zone after it."""
    async with loaded(changing, "drained"):
        await asyncio.to_thread(changing.drain, ZONES[-1])


def test_requests_stay_in_their_zone(changing: Changing) -> None:
    """What begins in a zone is answered there, in each of the three."""
    for zone in ZONES:
        changing.until_near(zone)
