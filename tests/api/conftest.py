"""One replica for each driver, with and without accounts, shared by all tests of the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.client import Client
from tests.api.replica import Replica

KINDS = ["directory", "directory-secure"]


@pytest.fixture(scope="session", params=KINDS)
def replica(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    directory = tmp_path_factory.mktemp(request.param)
    with Replica(directory, directory_storage(directory), secure="secure" in request.param) as running:
        yield running


@pytest.fixture
def client(replica: Replica) -> Client:
    """A client that may do everything, in a repository of its own."""
    return replica.client()


def directory_storage(directory: Path) -> dict[str, str]:
    return {"kind": "directory", "path": str(directory / "data")}
