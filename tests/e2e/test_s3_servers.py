"""Other S3 servers in the cluster: one that encrypts, and one whose accounts come and go."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local_cluster import archive
from quickstart.story import TENANT
from tests.e2e.accounts import ROOT, account, accounts, administer, client, hold
from tests.e2e.load import Load
from tests.e2e.own import OwnRegistry
from tests.e2e.platform import Platform
from tests.e2e.servers import PORT, from_secret, server

pytestmark = pytest.mark.cluster
KMS_KEY = "the-tenants-key"
MINIO = "localhost/minio:1"
TWO = {"replicas": 2, "zones": {"minimum": 2}}


@pytest.fixture
def minio(platform: Platform, tmp_path: Path) -> Iterator[str]:
    """MinIO, with one key that it may wrap others with."""
    program = {"minio": platform.cluster.parts.binary("minio").read_bytes()}
    archive.write(tmp_path / "minio.tar", MINIO, program, {"Entrypoint": ["/minio"]})
    platform.cluster.load([tmp_path / "minio.tar"])
    hold(platform, "minio-s3", ROOT)
    container = {
        "image": MINIO,
        "args": ["server", "--quiet", "--address", f":{PORT}", "--certs-dir", "/data/certs", "/data/buckets"],
        "env": [
            *from_secret("minio-s3", MINIO_ROOT_USER="accessKeyID", MINIO_ROOT_PASSWORD="secretAccessKey"),
            {
                "name": "MINIO_KMS_SECRET_KEY",
                "value": f"{KMS_KEY}:{base64.b64encode(b'k' * 32).decode()}",
            },
            {"name": "MINIO_BROWSER", "value": "off"},
            {"name": "MINIO_UPDATE", "value": "off"},
        ],
    }
    with server(platform, "minio", container, {}) as endpoint:
        yield endpoint
    platform.kubectl("delete", "secret/minio-s3", "-n", TENANT)


async def test_the_server_encrypts_what_a_registry_writes(platform: Platform, minio: str) -> None:
    """Every object of a Registry with SSE-KMS lies there under the tenant's key: the bucket says so."""
    bucket = client(platform, "minio", ROOT)
    bucket.create_bucket(Bucket=TENANT)
    registry = OwnRegistry(platform, "wrapped", "wharf")
    encryption = {"type": "SSE-KMS", "keyID": KMS_KEY}
    keys = {"credentialsSecretRef": {"name": "minio-s3"}}
    registry.declare({"endpoint": minio, "insecure": True, "serverSideEncryption": encryption, **keys}, **TWO)
    with registry.claimed():
        layer = secrets.token_bytes(12_000_000)  # in parts
        digest = await registry.client(timeout=60).push_image("wharf/image", "1", layer)
        for replica in registry.replica_clients(timeout=60):
            assert layer in await replica.pull_image("wharf/image", digest)
        listed = bucket.list_objects_v2(Bucket=TENANT, Prefix=registry.prefix)["Contents"]
        told = [bucket.head_object(Bucket=TENANT, Key=entry["Key"]) for entry in listed]
    assert sum(entry["Size"] for entry in listed) > len(layer)
    assert {(one["ServerSideEncryption"], one["SSEKMSKeyId"]) for one in told} == {
        ("aws:kms", f"arn:aws:kms:{KMS_KEY}")
    }


@pytest.fixture
def endpoint(platform: Platform) -> Iterator[str]:
    with accounts(platform) as found:
        yield found
    platform.kubectl("delete", "secret/turned-s3", "-n", TENANT)


async def test_a_key_that_is_revoked_has_a_successor(platform: Platform, endpoint: str) -> None:
    """The Secret gets another account's key under load, the old account goes: no request fails."""
    old, new = account(platform, "old"), account(platform, "new")
    hold(platform, "turned-s3", old)
    registry = OwnRegistry(platform, "turned", "turn")
    keys = {"credentialsSecretRef": {"name": "turned-s3"}}
    registry.declare({"endpoint": endpoint, "insecure": True, **keys}, **TWO)
    with registry.claimed():
        load, restarts = Load(registry.client(), "turn/image", workers=3), registry.restarts
        async with load.steady():
            await asyncio.sleep(2)
            await asyncio.to_thread(hold, platform, "turned-s3", new)
            await asyncio.sleep(5)  # a second after it has reached the pod
            await asyncio.to_thread(administer, platform, "delete-user", "--access", "old")
            await asyncio.sleep(5)
        print(f"key revoked: {load.summary()}")
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            client(platform, "accounts", old).list_objects_v2(Bucket=TENANT)
        assert load.failures == []
        assert await load.lost() == []
        assert registry.restarts == restarts
        assert registry.until(StorageReady="Ready")["Ready"]["status"] == "True"
