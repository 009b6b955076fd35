"""The RuntimeConfig of a Registry's replicas: a change of it rolls them out, so it holds what needs that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from registry_operator import names
from registry_operator.models.base import seconds
from registry_runtime.contract.config import (
    Cache,
    Collection,
    DirectoryStorage,
    Encryption,
    PolicySource,
    RuntimeConfig,
    S3Storage,
    SseCustomer,
    SseKms,
    SseS3,
    Tls,
    Tracing,
    WebIdentity,
)

if TYPE_CHECKING:
    from registry_operator import models
    from registry_operator.models import Registry, WorkloadIdentity
    from registry_runtime.contract.config import ServerSideEncryption

MOUNTS = Path("/etc/roadstead")
EPHEMERAL = Path("/var/lib/roadstead")
CACHE = Path("/var/cache/roadstead")
CACHE_BYTES = 2 * 1024**3


def config(registry: Registry) -> RuntimeConfig:
    return RuntimeConfig(
        registry=str(registry.key),
        owner=registry.meta.uid,
        hosts=registry.spec.public_hosts,
        private_hosts=(registry.spec.private_host,),
        storage=_storage(registry),
        cache=Cache(path=CACHE, size=CACHE_BYTES) if registry.spec.storage.s3 else None,
        tls=Tls(server=MOUNTS / "tls", internal=MOUNTS / "internal"),
        policy=PolicySource(
            directory=MOUNTS / "policy",
            secrets=tuple(key.name for key in names.policies(registry)),
            namespace=registry.meta.namespace,
        ),
        signing_key=MOUNTS / "internal" / names.SIGNING_KEY,
        encryption=Encryption(keys=MOUNTS / "keys") if registry.spec.encryption else None,
        collection=Collection(
            every_seconds=seconds(registry.spec.collection.every),
            grace_seconds=seconds(registry.spec.collection.grace),
        ),
        tracing=_tracing(registry),
    )


def _tracing(registry: Registry) -> Tracing | None:
    asked = registry.spec.observability.tracing
    if asked is None:
        return None
    return Tracing(
        endpoint=asked.endpoint.rstrip("/"), sampling_rate_per_million=asked.sampling_rate_per_million
    )


def _storage(registry: Registry) -> S3Storage | DirectoryStorage:
    s3 = registry.spec.storage.s3
    if s3 is None:
        return DirectoryStorage(path=EPHEMERAL)
    return S3Storage(
        bucket=s3.bucket,
        endpoint=s3.endpoint and s3.endpoint.rstrip("/"),
        region=s3.region,
        prefix=f"{s3.prefix.rstrip('/')}/" if s3.prefix else "",
        path_style=s3.path_style,
        ca_file=MOUNTS / "storage-ca" / "ca.crt" if s3.ca_bundle_ref else None,
        credentials=MOUNTS / "credentials" if s3.credentials_secret_ref else None,
        identity=_identity(registry, s3.workload_identity),
        server_side_encryption=_encryption(s3.server_side_encryption),
    )


def _identity(registry: Registry, identity: WorkloadIdentity | None) -> WebIdentity | None:
    if identity is None or identity.role_arn is None:
        return None
    return WebIdentity(
        role=identity.role_arn,
        token=MOUNTS / "identity" / "token",
        session=f"{registry.meta.namespace}.{registry.meta.name}"[:64],
        endpoint=identity.sts_endpoint and identity.sts_endpoint.rstrip("/"),
    )


def _encryption(asked: models.ServerSideEncryption | None) -> ServerSideEncryption | None:
    match asked and asked.type:
        case "SSE-S3":
            return SseS3()
        case "SSE-KMS":
            return SseKms(key_id=asked.key_id if asked else None)
        case "SSE-C":
            return SseCustomer(key=MOUNTS / "sse" / "key")
        case _:
            return None
