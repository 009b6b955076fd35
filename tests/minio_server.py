"""MinIO on the loopback: the S3 server that encrypts, has users, and knows buckets by their host name."""

from __future__ import annotations

import base64
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.s3_server import ACCESS, DOMAIN, SECRET, S3Server, free_port, program, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KMS_KEY = "the-tenants-key"


@contextmanager
def minio_server(folder: Path, *, tls: bool = True) -> Iterator[S3Server]:
    """With the one key that it may wrap others with; buckets also as hosts below DOMAIN."""
    port = free_port()
    command = [
        *(str(program("minio")), "server", "--quiet", "--address", f"127.0.0.1:{port}"),
        *("--certs-dir", str(folder / "certs"), str(folder / "buckets")),
    ]
    env = {
        "MINIO_ROOT_USER": ACCESS,
        "MINIO_ROOT_PASSWORD": SECRET,
        "MINIO_KMS_SECRET_KEY": f"{KMS_KEY}:{base64.b64encode(b'k' * 32).decode()}",
        "MINIO_DOMAIN": DOMAIN,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
        "HOME": str(folder),
    }
    (folder / "certs").mkdir(parents=True)
    if tls:
        (folder / "certs" / "public.crt").symlink_to(folder / "tls.crt")
        (folder / "certs" / "private.key").symlink_to(folder / "tls.key")
    with running(folder, port, command, env, tls) as server:
        yield server
