"""Keys that change while requests go on: those of a Secret, and those of a workload's identity."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from registry_runtime.contract.config import WebIdentity
from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused
from tests.contract.test_s3 import fresh, opened, registry_of
from tests.issuer import Issuer, issuer
from tests.minio_server import ROLE, minio_server
from tests.s3_server import administer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from registry_runtime.contract.config import S3Storage
    from tests.s3_server import S3Server


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Issuer, S3Server]]:
    """A server with an STS, and the issuer that it trusts."""
    with issuer() as one, minio_server(tmp_path_factory.mktemp("sts") / "tls", trusts=one) as server:
        yield one, server


def identified(server: S3Server, token: Path, role: str = ROLE) -> S3Storage:
    identity = WebIdentity(role=role, token=token, endpoint=server.endpoint)
    return server.bucket(fresh()).model_copy(update={"credentials": None, "identity": identity})


async def test_a_key_that_is_revoked_has_a_successor(s3: S3Server, tmp_path: Path) -> None:
    """The Secret gets a new user's key, the old user goes: not one write of either hand fails."""
    settings = s3.bucket(fresh()).model_copy(update={"credentials": tmp_path})

    def mount(user: str) -> None:
        administer(s3, "create-user", "--access", user, "--secret", f"secret of {user}", "--role", "admin")
        (tmp_path / "accessKeyID").write_text(user)
        (tmp_path / "secretAccessKey").write_text(f"secret of {user}")

    mount("old")
    written: list[str] = []

    async def write() -> None:
        while True:
            await storage.put(f"k/{len(written)}", [b"x"], absent=True)
            await storage.list("k/")
            written.append("x")

    async with opened(settings) as storage:
        writer = asyncio.create_task(write())
        await asyncio.sleep(0.5)
        mount("new")
        await asyncio.sleep(1.5)
        administer(s3, "delete-user", "--access", "old")
        before = len(written)
        await asyncio.sleep(1)
        assert not writer.done(), writer.exception()
        writer.cancel()
        assert len(written) > before
        (tmp_path / "accessKeyID").write_text("old")
        await asyncio.sleep(1.1)
        with pytest.raises(StorageRefused) as refused:
            await storage.get("k/0")
        assert refused.value.reason is StorageReason.DENIED


async def test_a_role_is_renewed_before_it_ends(cloud: tuple[Issuer, S3Server], tmp_path: Path) -> None:
    """Keys of six seconds, for eight: the token is exchanged again, and no request notices."""
    one, server = cloud
    token = tmp_path / "token"
    token.write_text(one.token(6))
    async with opened(identified(server, token)) as storage:
        assert (await registry_of(storage).check()).reason is StorageReason.READY
        seen = {(await storage._wire._credentials.current()).access_key}  # type: ignore[attr-defined]
        token.write_text(one.token(60) + "\n")
        end = time.monotonic() + 8
        while time.monotonic() < end:
            await storage.put("k", [b"x"])
            await storage.list("k")
            seen.add((await storage._wire._credentials.current()).access_key)  # type: ignore[attr-defined]
        assert len(seen) == 2


async def test_what_an_sts_refuses_is_said(cloud: tuple[Issuer, S3Server], tmp_path: Path) -> None:
    """None, one that ended, one for somebody else, another role: refused, then mended without a restart."""
    one, server = cloud
    token = tmp_path / "token"
    async with opened(identified(server, token)) as storage:
        registry = registry_of(storage)
        for text in (None, one.token(-5), one.token(60, audience="another"), "no token"):
            if text is not None:
                token.write_text(text)
            state = await registry.check()
            assert state.reason is StorageReason.CREDENTIALS_MISSING, state
            assert str(text) not in state.message
        token.write_text(one.token(60))
        assert (await registry.check()).reason is StorageReason.READY
    other = identified(server, token, role=f"{ROLE[:-3]}xyz")
    async with opened(other) as storage:
        state = await registry_of(storage).check()
        assert state.reason is StorageReason.CREDENTIALS_MISSING
        assert other.identity
        assert other.identity.role in state.message


async def test_an_sts_that_is_away_is_no_wrong_credential(
    cloud: tuple[Issuer, S3Server], tmp_path: Path
) -> None:
    """It is said where it was looked for."""
    one, server = cloud
    (tmp_path / "token").write_text(one.token(60))
    settings = identified(server, tmp_path / "token")
    assert settings.identity
    away = settings.identity.model_copy(update={"endpoint": "https://127.0.0.1:1"})
    async with opened(settings.model_copy(update={"identity": away})) as storage:
        state = await registry_of(storage).check()
        assert state.reason is StorageReason.UNREACHABLE
        assert "https://127.0.0.1:1" in state.message
