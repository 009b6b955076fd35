"""Every driver that the contract binds."""

from __future__ import annotations

import socket
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from registry_runtime.contract.config import DirectoryStorage, SseCustomer
from registry_runtime.storage import open_storage, short_writes
from tests.minio_server import minio_server
from tests.s3_proxy import Proxy, s3_proxy
from tests.s3_server import S3Server, s3_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from registry_runtime.storage.base import Storage


@pytest.fixture(autouse=True)
def mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short writes wait in threads too, as on a slow disk: so what runs at once is mixed."""
    monkeypatch.setattr(short_writes, "_SHORT", -1)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3") / "tls") as server:
        yield server


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with minio_server(tmp_path_factory.mktemp("minio") / "tls") as server:
        yield server


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names below `localhost` are this machine, as RFC 6761 wants it and not every resolver has it.

    It holds those that were asked for.
    """
    names: set[str] = set()
    asked = socket.getaddrinfo

    def answer(host: str | bytes | None, *words: Any, **more: Any) -> Any:
        if not str(host).endswith(".localhost"):
            return asked(host, *words, **more)
        names.add(str(host))
        return asked("127.0.0.1", *words, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return names


@pytest.fixture(params=["directory", "s3", "minio", "minio-by-host-under-sse-c"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    if request.param == "directory":
        opened = await open_storage(DirectoryStorage(path=tmp_path))
    else:
        name, _, variant = request.param.partition("-")
        server: S3Server = request.getfixturevalue(name)
        settings = server.bucket(f"b-{uuid.uuid4().hex[:20]}", prefix="tenant/a/")
        if variant:
            request.getfixturevalue("named")
            (tmp_path / "key").write_bytes(b"k" * 32)
            encryption = {"server_side_encryption": SseCustomer(key=tmp_path / "key")}
            settings = server.by_host(settings).model_copy(update=encryption)
        opened = await open_storage(settings)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def plain_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The same without TLS, for a proxy to stand before it."""
    with s3_server(tmp_path_factory.mktemp("s3") / "plain", tls=False) as server:
        yield server


@pytest.fixture
async def proxied(plain_s3: S3Server) -> AsyncIterator[tuple[Proxy, Storage]]:
    """A bucket behind a proxy that does what the test wants."""
    async with s3_proxy(plain_s3) as (proxy, server):
        bucket = f"b-{uuid.uuid4().hex[:20]}"
        plain_s3.bucket(bucket)
        storage = await open_storage(server.settings(bucket))
        yield proxy, storage
        await storage.close()
