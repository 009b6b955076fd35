"""One replica for each driver, with and without accounts, shared by all tests of the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.client import Client
from tests.api.replica import Replica
from tests.s3_server import S3Server, s3_server

KINDS = ["directory", "directory-secure", "s3", "s3-secure", "s3-secure-encrypted"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3-server") / "tls") as running:
        yield running


@pytest.fixture(scope="session", params=KINDS)
def replica(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    directory = tmp_path_factory.mktemp(request.param)
    secure = "secure" in request.param
    encrypted = "encrypted" in request.param
    storage = storage_of(request, directory)
    with Replica(directory, storage, secure=secure, encrypted=encrypted) as running:
        yield running


@pytest.fixture
def client(replica: Replica) -> Client:
    """A client that may do everything, in a repository of its own."""
    return replica.client()


def storage_of(request: pytest.FixtureRequest, directory: Path, bucket: str = "tests") -> dict[str, Any]:
    if request.param.startswith("directory"):
        return {"kind": "directory", "path": str(directory / "data")}
    server: S3Server = request.getfixturevalue("server")
    settings: dict[str, Any] = server.bucket(f"{bucket}-{request.param}", prefix="tenant/").model_dump(
        mode="json"
    )
    return settings
