"""The faults have a cluster of their own: what they break, no other test stands on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import telling
from tests.e2e.platform import Platform


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    with telling("roadstead-faults", "127.0.91.") as stage:
        yield stage
