"""Other S3 servers in the cluster: one that encrypts, and one whose accounts come and go."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from local_cluster import archive
from local_cluster.images import existing
from quickstart.story import TENANT
from tests.e2e.load import Load
from tests.e2e.own import OwnRegistry
from tests.e2e.platform import Platform
from tests.e2e.servers import PORT, from_secret, server
from tests.s3_server import s3_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.cluster
KMS_KEY = "the-tenants-key"
MINIO = "localhost/minio:1"
ROOT = {"accessKeyID": "administrator", "secretAccessKey": secrets.token_urlsafe(20)}
TWO = {"replicas": 2, "zones": {"minimum": 2}}


def hold(platform: Platform, name: str, values: dict[str, str]) -> None:
    """A Secret of the tenant's."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    metadata = {"name": name, "namespace": TENANT}
    platform.kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})


def client(platform: Platform, name: str, keys: dict[str, str]) -> S3Client:
    """At this server, past every registry."""
    address = platform.cluster.forward("127.0.0.1:0", f"{name}.{TENANT}:{PORT}")
    return s3_client(f"http://{address}", keys["accessKeyID"], keys["secretAccessKey"], None)


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
def accounts(platform: Platform) -> Iterator[str]:
    """versitygw, which is told who may sign in while it runs."""
    hold(platform, "accounts-root", ROOT)
    start = f"versitygw --port :{PORT} --quiet --keep-alive --iam-dir /data/users posix /data/buckets"
    container = {
        "image": existing(platform.cluster.parts, "versitygw").reference,
        "command": ["sh", "-c", f"mkdir /data/users /data/buckets && exec {start}"],
        "env": [
            *from_secret(
                "accounts-root", ROOT_ACCESS_KEY_ID="accessKeyID", ROOT_SECRET_ACCESS_KEY="secretAccessKey"
            ),
            {"name": "ADMIN_ENDPOINT_URL", "value": f"http://localhost:{PORT}"},
        ],
    }
    with server(platform, "accounts", container, {}) as endpoint:
        yield endpoint
    platform.kubectl("delete", "secret/accounts-root", "secret/turned-s3", "-n", TENANT)


async def test_a_key_that_is_revoked_has_a_successor(platform: Platform, accounts: str) -> None:
    """The Secret gets another account's key under load, the old account goes: no request fails."""
    client(platform, "accounts", ROOT).create_bucket(Bucket=TENANT)
    old, new = account(platform, "old"), account(platform, "new")
    hold(platform, "turned-s3", old)
    registry = OwnRegistry(platform, "turned", "turn")
    keys = {"credentialsSecretRef": {"name": "turned-s3"}}
    registry.declare({"endpoint": accounts, "insecure": True, **keys}, **TWO)
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


def account(platform: Platform, name: str) -> dict[str, str]:
    """A new one of the server, which may use every bucket; its keys as a Secret has them."""
    keys = {"accessKeyID": name, "secretAccessKey": secrets.token_urlsafe(20)}
    user = ("--access", name, "--secret", keys["secretAccessKey"], "--role", "admin")
    administer(platform, "create-user", *user)
    return keys


def administer(platform: Platform, *words: str) -> None:
    platform.kubectl("exec", "deploy/accounts", "-n", TENANT, "--", "versitygw", "admin", *words)
