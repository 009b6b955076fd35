"""Server-side encryption, judged by what the bucket says: a server that does it, one that says so."""

from __future__ import annotations

import os
from base64 import b64encode
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from registry_runtime.content.digest import Digest
from registry_runtime.contract.config import ServerSideEncryption, SseCustomer, SseKms, SseS3
from registry_runtime.contract.state import StorageReason
from tests.contract.test_s3 import NAME, check, fresh, opened, registry_of
from tests.images import body, pull
from tests.minio_server import KMS_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from registry_runtime.contract.config import S3Storage
    from registry_runtime.storage.base import Storage
    from tests.s3_server import S3Server

KEY = bytes(range(32))
CONTENT = os.urandom(20_000_001)  # parts


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_bytes(KEY)
    return file


def under(settings: S3Storage, encryption: ServerSideEncryption | None) -> S3Storage:
    return settings.model_copy(update={"server_side_encryption": encryption})


def asked(kind: str, key: Path) -> ServerSideEncryption:
    every: dict[str, ServerSideEncryption] = {
        "SSE-S3": SseS3(),
        "SSE-KMS": SseKms(key_id=KMS_KEY),
        "SSE-KMS of the bucket": SseKms(),
        "SSE-C": SseCustomer(key=key),
    }
    return every[kind]


@asynccontextmanager
async def pushed(settings: S3Storage) -> AsyncIterator[Storage]:
    """A blob in parts, pushed and pulled."""
    async with opened(settings) as storage:
        registry = registry_of(storage)
        state = await registry.check()
        assert state.reason is StorageReason.READY, state
        await registry.uploads.push(NAME, Digest.of(CONTENT), body(CONTENT), "me")
        assert await pull(registry, NAME, Digest.of(CONTENT)) == CONTENT
        yield storage


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("SSE-S3", {"ServerSideEncryption": "AES256"}),
        ("SSE-KMS", {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": f"arn:aws:kms:{KMS_KEY}"}),
        (
            "SSE-KMS of the bucket",
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": f"arn:aws:kms:{KMS_KEY}"},
        ),
        ("SSE-C", {"SSECustomerAlgorithm": "AES256"}),
    ],
)
async def test_every_object_lies_there_as_asked(
    minio: S3Server, key: Path, kind: str, says: dict[str, str]
) -> None:
    """The marker, records and the data in parts, as another client of the bucket sees them."""
    settings = under(minio.bucket(fresh()), asked(kind, key))
    customer: dict[str, Any] = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}
    async with pushed(settings) as storage:
        keys = [entry.key for entry in (await storage.list("")).entries]
    assert any(name.startswith("data/") for name in keys)
    assert len(keys) >= 4
    client = minio.client()
    for name in keys:
        with_key = customer if kind == "SSE-C" else {}
        answer = client.head_object(Bucket=settings.bucket, Key=name, **with_key)
        assert {field: answer.get(field) for field in says} == says
        if kind == "SSE-C":
            with pytest.raises(ClientError, match="InvalidRequest"):
                client.get_object(Bucket=settings.bucket, Key=name)
    client.close()


@pytest.mark.parametrize("kind", ["SSE-S3", "SSE-KMS", "SSE-C"])
async def test_a_server_that_only_says_yes_is_refused(s3: S3Server, key: Path, kind: str) -> None:
    """versitygw takes every request for encryption and encrypts nothing: the probe finds it, and goes."""
    settings = s3.bucket(fresh())
    state = await check(under(settings, asked(kind, key)))
    assert state.reason is StorageReason.SSE_IGNORED
    assert kind in state.message
    async with opened(settings) as storage:
        assert [entry.key for entry in (await storage.list("")).entries] == ["roadstead.json"]


async def test_another_key_reads_nothing(minio: S3Server, key: Path, tmp_path: Path) -> None:
    """Another key, none, an unusable file: each is said, and the right key works on without a restart."""
    settings = minio.bucket(fresh())
    async with pushed(under(settings, SseCustomer(key=key))):
        pass
    another = tmp_path / "another"
    another.write_text(b64encode(os.urandom(32)).decode() + "\n")
    for encryption in (SseCustomer(key=another), None):
        state = await check(under(settings, encryption))
        assert state.reason is StorageReason.SSE_REFUSED, state
        assert b64encode(KEY).decode() not in state.message
    async with opened(under(settings, SseCustomer(key=another))) as storage:
        for content in (b"", b"short", b64encode(os.urandom(31)), None):
            if content is None:
                another.unlink()
            else:
                another.write_bytes(content)
            storage._encryption._read_at = 0  # type: ignore[attr-defined]  # a second later
            state = await registry_of(storage).check()
            assert state.reason is StorageReason.SSE_REFUSED
            assert "32 bytes" in state.message
        another.write_text(b64encode(KEY).decode())
        assert await pull(registry_of(storage), NAME, Digest.of(CONTENT)) == CONTENT


async def test_a_bucket_that_was_written_without_is_said(minio: S3Server, key: Path) -> None:
    """SSE-C over content that lies there without cannot read it; keys of the server's own can."""
    settings = minio.bucket(fresh())
    async with pushed(settings):
        pass
    state = await check(under(settings, SseCustomer(key=key)))
    assert state.reason is StorageReason.SSE_REFUSED
    async with pushed(under(settings, SseKms(key_id=KMS_KEY))):
        pass


async def test_a_key_that_is_not_there_is_said(minio: S3Server) -> None:
    """The KMS has no such key: a condition with the rights that are needed, not an outage."""
    state = await check(under(minio.bucket(fresh()), SseKms(key_id="no-such-key")))
    assert state.reason is StorageReason.SSE_REFUSED
    assert "kms:GenerateDataKey" in state.message
