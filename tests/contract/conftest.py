"""Every driver that the contract binds."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from registry_runtime.contract.config import DirectoryStorage
from registry_runtime.storage import open_storage
from tests.minio_server import minio_server
from tests.s3_server import S3Server, s3_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from registry_runtime.storage.base import Storage


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3") / "tls") as server:
        yield server


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with minio_server(tmp_path_factory.mktemp("minio") / "tls") as server:
        yield server


@pytest.fixture(params=["directory", "s3", "minio"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    if request.param == "directory":
        opened = await open_storage(DirectoryStorage(path=tmp_path))
    else:
        server: S3Server = request.getfixturevalue(request.param)
        opened = await open_storage(server.bucket(f"b-{uuid.uuid4().hex[:20]}", prefix="tenant/a/"))
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def plain_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The same without TLS, for a proxy to stand before it."""
    with s3_server(tmp_path_factory.mktemp("s3") / "plain", tls=False) as server:
        yield server
