"""MinIO on the loopback: the S3 server that encrypts, has users, and knows buckets by their host name."""

from __future__ import annotations

import base64
import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.issuer import AUDIENCE
from tests.s3_server import ACCESS, DOMAIN, SECRET, S3Server, free_port, program, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.issuer import Issuer

_ID = hashlib.sha1(AUDIENCE.encode(), usedforsecurity=False).digest()
ROLE = f"arn:minio:iam:::role/{base64.urlsafe_b64encode(_ID).rstrip(b'=').decode()}"
KMS_KEY = "the-tenants-key"


@contextmanager
def minio_server(folder: Path, *, tls: bool = True, trusts: Issuer | None = None) -> Iterator[S3Server]:
    """With the one key that it may wrap others with; buckets also as hosts below DOMAIN.

    Who has a token of the issuer that it trusts may take ROLE.
    """
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
    if trusts:
        env["MINIO_IDENTITY_OPENID_CONFIG_URL"] = trusts.discovery
        env["MINIO_IDENTITY_OPENID_CLIENT_ID"] = AUDIENCE
        env["MINIO_IDENTITY_OPENID_ROLE_POLICY"] = "readwrite"
    (folder / "certs").mkdir(parents=True)
    if tls:
        (folder / "certs" / "public.crt").symlink_to(folder / "tls.crt")
        (folder / "certs" / "private.key").symlink_to(folder / "tls.key")
    with running(folder, port, command, env, tls) as server:
        yield server
