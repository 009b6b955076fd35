"""The bucket as it is found: wrong, refused, slow, careless, and with a network that breaks."""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.config import S3Storage
from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageError, StorageRefused
from registry_runtime.repository import Registry
from registry_runtime.storage import open_storage, probes
from registry_runtime.storage.base import Conflict
from registry_runtime.storage.probes import erases
from registry_runtime.storage.s3.wire import base_url
from tests.certificates import Authority
from tests.images import MIXED, body, pull
from tests.s3_proxy import Proxy
from tests.s3_server import S3Server, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from registry_runtime.contract.state import StorageState
    from registry_runtime.storage.base import Storage

NAME = RepositoryName("team/app")


def fresh() -> str:
    return f"b-{uuid.uuid4().hex[:20]}"


@asynccontextmanager
async def opened(settings: S3Storage) -> AsyncIterator[Storage]:
    storage = await open_storage(settings)
    try:
        yield storage
    finally:
        await storage.close()


def registry_of(storage: Storage) -> Registry:
    return Registry(storage, MIXED, lambda: datetime.now(UTC), "owner")


async def check(settings: S3Storage) -> StorageState:
    async with opened(settings) as storage:
        return await registry_of(storage).check()


async def test_what_is_wrong_is_named(s3: S3Server, tmp_path: Path) -> None:
    """No bucket, no server, no trust, a wrong key, no credentials: each its reason and its remedy."""
    good = s3.bucket(fresh())
    assert (await check(good)).reason is StorageReason.READY
    missing = await check(s3.settings(fresh()))
    assert missing.reason is StorageReason.NOT_FOUND
    assert "create it" in missing.message
    away = good.model_copy(update={"endpoint": f"https://127.0.0.1:{free_port()}"})
    untrusted = good.model_copy(update={"ca_file": None})
    for settings, word in ((away, "reached"), (untrusted, "CA bundle")):
        unreachable = await check(settings)
        assert unreachable.reason is StorageReason.UNREACHABLE, unreachable
        assert word in unreachable.message
    shutil.copytree(s3.credentials, tmp_path / "wrong")
    (tmp_path / "wrong" / "secretAccessKey").write_text("a wrong one")
    denied = await check(good.model_copy(update={"credentials": tmp_path / "wrong"}))
    assert denied.reason is StorageReason.DENIED
    assert "Secret" in denied.message
    assert "a wrong one" not in denied.message
    (tmp_path / "wrong" / "secretAccessKey").unlink()
    none = await check(good.model_copy(update={"credentials": tmp_path / "wrong"}))
    assert none.reason is StorageReason.CREDENTIALS_MISSING
    assert "secretAccessKey" in none.message


async def test_a_key_is_rotated_without_a_restart(s3: S3Server, tmp_path: Path) -> None:
    """Both hands of the driver use the files as they are now, a second after they change."""
    shutil.copytree(s3.credentials, tmp_path / "mounted")
    settings = s3.bucket(fresh()).model_copy(update={"credentials": tmp_path / "mounted"})
    async with opened(settings) as storage:
        await storage.put("a", [b"1"])
        assert len((await storage.list("")).entries) == 1
        (tmp_path / "mounted" / "secretAccessKey").write_text("revoked")
        await _eventually(storage, StorageReason.DENIED)
        with pytest.raises(StorageRefused):
            await storage.list("")
        shutil.copytree(s3.credentials, tmp_path / "mounted", dirs_exist_ok=True)
        await _eventually(storage, None)
        assert len((await storage.list("")).entries) == 1


async def test_a_ca_bundle_is_corrected_without_a_restart(s3: S3Server, tmp_path: Path) -> None:
    """No file, garbage, another authority's: each is said; once it is right both hands go on."""
    assert s3.ca_file
    mounted = tmp_path / "ca.crt"
    async with opened(s3.bucket(fresh()).model_copy(update={"ca_file": mounted})) as storage:
        registry = registry_of(storage)
        stranger = Authority(tmp_path / "stranger").file.read_bytes()
        for content, word in ((None, "PEM"), (b"", "PEM"), (b"garbage", "PEM"), (stranger, "CA bundle")):
            if content is not None:
                mounted.write_bytes(content)
                await asyncio.sleep(1.1)
            state = await registry.check()
            assert state.reason is StorageReason.UNREACHABLE
            assert word in state.message
            with pytest.raises(StorageError):
                await storage.list("")
        mounted.write_bytes(s3.ca_file.read_bytes())
        await asyncio.sleep(1.1)
        assert (await registry.check()).reason is StorageReason.READY
        assert len((await storage.list("")).entries) == 1
        mounted.write_bytes(stranger)
        await asyncio.sleep(1.1)
        assert (await registry.check()).reason is StorageReason.UNREACHABLE
        with pytest.raises(StorageError):
            await storage.list("")


async def _eventually(storage: Storage, reason: StorageReason | None) -> None:
    """Until a read fails for this reason, or succeeds for none."""
    seen: StorageReason | None = StorageReason.CHECKING
    for _ in range(30):
        try:
            assert await storage.get("a")
            seen = None
        except StorageRefused as refused:
            seen = refused.reason
        if seen is reason:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"still {seen}")


@pytest.mark.parametrize("ignored", ["if-match", "if-none-match"])
async def test_a_server_that_ignores_conditions_is_refused(
    proxied: tuple[Proxy, Storage], ignored: str
) -> None:
    """The race finds it out, and leaves nothing but the marker."""
    proxy, storage = proxied
    proxy.ignored = {ignored}
    state = await registry_of(storage).check()
    assert state.reason is StorageReason.NO_CONDITIONAL_WRITES
    assert [entry.key for entry in (await storage.list("")).entries] == ["roadstead.json"]
    proxy.ignored = set()
    assert (await registry_of(storage).check()).reason is StorageReason.READY


@pytest.mark.parametrize("server", ["s3", "minio"])
async def test_a_server_that_erases_by_halves_is_found_out(
    request: pytest.FixtureRequest, server: str
) -> None:
    """MinIO ignores the condition, versitygw looks first and deletes then: neither is trusted with it."""
    async with opened(request.getfixturevalue(server).bucket(fresh())) as storage:
        assert not await erases(storage)
        assert (await storage.list("")).entries == ()


async def test_a_server_that_erases_on_a_condition(
    proxied: tuple[Proxy, Storage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request at a time, looking first is enough: races are fair, and what was changed stays."""
    monkeypatch.setattr(probes, "ROUNDS", 2)
    proxy, storage = proxied
    proxy.one_at_a_time = True
    assert await erases(storage)
    before = await storage.put("p/x", [b"1"])
    await storage.put("p/x", [b"2"])
    with pytest.raises(Conflict):
        await storage.erase("p/x", before)
    assert await storage.get("p/x")
    proxy.ignored = {"if-match"}
    assert not await erases(storage)


async def test_without_tls_the_payload_is_signed(plain_s3: S3Server) -> None:
    """Small and large objects pass a server that checks what was signed."""
    async with opened(plain_s3.bucket(fresh())) as storage:
        registry = registry_of(storage)
        content = os.urandom(10_000_000)
        await registry.uploads.push(NAME, Digest.of(content), body(content), "me")
        assert await pull(registry, NAME, Digest.of(content)) == content


@pytest.mark.parametrize("name", ["s3", "minio"])
async def test_a_bucket_is_a_host_to_both_hands(
    request: pytest.FixtureRequest, name: str, named: set[str]
) -> None:
    """In virtual-host style nothing is asked of the endpoint itself."""
    server: S3Server = request.getfixturevalue(name)
    settings = server.bucket(fresh())
    async with opened(server.by_host(settings)) as storage:
        await storage.put("a", [b"1"])
        assert len((await storage.list("")).entries) == 1
    assert named == {f"{settings.bucket}.s3.localhost"}


def test_both_styles_of_addresses() -> None:
    """Path and virtual-host style, with an endpoint and without."""
    settings = S3Storage(bucket="b", endpoint="https://s3.example:9000/", path_style=True)
    assert base_url(settings) == "https://s3.example:9000/b"
    virtual = settings.model_copy(update={"path_style": False})
    assert base_url(virtual) == "https://b.s3.example:9000"
    aws = S3Storage(bucket="b", region="eu-central-1", path_style=False)
    assert base_url(aws) == "https://b.s3.eu-central-1.amazonaws.com"
