"""A short run over every format, and over the application: nothing but the errors that are declared."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import mutated
from tests.fuzz.every import EVERY
from tests.fuzz.formats import Format
from tests.fuzz.heads import SEEDS, Application


@pytest.fixture(scope="module")
def running() -> Iterator[Application]:
    with Application() as found:
        yield found


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=150)
@given(data=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_anything(name: str, data: bytes) -> None:
    """Bytes and text that mean nothing."""
    EVERY[name].check(data)


@pytest.mark.parametrize("name", EVERY)
def test_almost_right(name: str) -> None:
    """What is meant, with pieces changed, cut out, doubled and mixed; and as it is."""
    found: Format = EVERY[name]
    assert found.check(found.seeds[0])
    for data in mutated(random.Random(name), found.seeds, 1500, found.longest):
        found.check(data)


def test_hostile_requests(running: Application) -> None:
    """The application answers each, and never with a 5xx."""
    for data in mutated(random.Random("http"), SEEDS, 3000, 1024):
        running.check(data)
