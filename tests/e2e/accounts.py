"""An S3 server in the cluster whose accounts come and go while it runs, and whose keys the tenant holds."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from local_cluster.images import existing
from quickstart.story import TENANT
from tests.e2e.platform import Platform
from tests.e2e.servers import PORT, from_secret, server
from tests.s3_server import s3_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NAME = "accounts"
ROOT = {"accessKeyID": "administrator", "secretAccessKey": secrets.token_urlsafe(20)}


def hold(platform: Platform, name: str, values: dict[str, str]) -> None:
    """A Secret of the tenant's."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    metadata = {"name": name, "namespace": TENANT}
    platform.kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})


def client(platform: Platform, name: str, keys: dict[str, str]) -> S3Client:
    """At this server, past every registry."""
    address = platform.cluster.forward("127.0.0.1:0", f"{name}.{TENANT}:{PORT}")
    return s3_client(f"http://{address}", keys["accessKeyID"], keys["secretAccessKey"], None)


@contextmanager
def accounts(platform: Platform) -> Iterator[str]:
    """versitygw with the tenant's bucket, which is told who may sign in while it runs; its endpoint."""
    hold(platform, f"{NAME}-root", ROOT)
    start = f"versitygw --port :{PORT} --quiet --keep-alive --iam-dir /data/users posix /data/buckets"
    container = {
        "image": existing(platform.cluster.parts, "versitygw").reference,
        "command": ["sh", "-c", f"mkdir /data/users /data/buckets && exec {start}"],
        "env": [
            *from_secret(
                f"{NAME}-root", ROOT_ACCESS_KEY_ID="accessKeyID", ROOT_SECRET_ACCESS_KEY="secretAccessKey"
            ),
            {"name": "ADMIN_ENDPOINT_URL", "value": f"http://localhost:{PORT}"},
        ],
    }
    with server(platform, NAME, container, {}) as endpoint:
        client(platform, NAME, ROOT).create_bucket(Bucket=TENANT)
        yield endpoint
    platform.kubectl("delete", f"secret/{NAME}-root", "-n", TENANT)


def account(platform: Platform, name: str) -> dict[str, str]:
    """A new one of the server, which may use every bucket; its keys as a Secret has them."""
    keys = {"accessKeyID": name, "secretAccessKey": secrets.token_urlsafe(20)}
    user = ("--access", name, "--secret", keys["secretAccessKey"], "--role", "admin")
    administer(platform, "create-user", *user)
    return keys


def administer(platform: Platform, *words: str) -> None:
    platform.kubectl("exec", f"deploy/{NAME}", "-n", TENANT, "--", "versitygw", "admin", *words)
