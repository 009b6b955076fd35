"""`RuntimeConfig`: what a replica must know at its start; a change of it needs a rollout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_SAID: set[str] = set()


class Frozen(BaseModel):
    """A value: unknown fields are refused, so that a typing error is never silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Frugal(BaseModel):
    """A value of which there are a hundred thousand: which of its fields were said is not remembered.

    pydantic has a set of their names in each, of 216 bytes and more; here all have the same one.
    """

    def model_post_init(self, _: object) -> None:
        object.__setattr__(self, "__pydantic_fields_set__", _SAID)


class Told(Frugal):
    """What a replica tells. What a newer one tells beyond that is ignored by an operator that is older."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class SseS3(Frozen):
    """Each object under a key that the storage manages by itself."""

    kind: Literal["SSE-S3"] = "SSE-S3"


class SseKms(Frozen):
    """Each object under a key of the storage's key management."""

    kind: Literal["SSE-KMS"] = "SSE-KMS"
    key_id: str | None = None  # id or ARN, no alias; None: the one that the bucket has by default


class SseCustomer(Frozen):
    """Each object under a key that goes with each request; the storage keeps none."""

    kind: Literal["SSE-C"] = "SSE-C"
    key: Path  # file of a mounted Secret, read again when it changes: 32 bytes, or base64 of them


ServerSideEncryption = Annotated[SseS3 | SseKms | SseCustomer, Field(discriminator="kind")]


class WebIdentity(Frozen):
    """A role that the token of a ServiceAccount stands for, at a Security Token Service."""

    role: str  # ARN
    token: Path  # projected, read again each time
    session: str = "roadstead"  # under which the storage's log names what the role does
    endpoint: str | None = None  # None: AWS, by region


class S3Storage(Frozen):
    """A bucket. Credentials are files of a mounted Secret, read again when they change, or an identity."""

    kind: Literal["s3"] = "s3"
    bucket: str
    endpoint: str | None = None  # None: AWS, by region
    region: str = "us-east-1"
    prefix: str = ""  # "" or a path that ends with "/"
    path_style: bool = True
    ca_file: Path | None = None
    credentials: Path | None = None  # directory: accessKeyID, secretAccessKey, optional sessionToken
    identity: WebIdentity | None = None  # without either, what the platform injects into the pod
    server_side_encryption: ServerSideEncryption | None = None  # None: whatever the bucket does by itself

    @model_validator(mode="after")
    def _key_is_not_shown(self) -> Self:
        if isinstance(self.server_side_encryption, SseCustomer) and (self.endpoint or "").startswith("http:"):
            raise ValueError("SSE-C sends its key with each request: the endpoint must begin with https://")
        return self


class DirectoryStorage(Frozen):
    """A directory of one replica: for trying out, and for the registry run alone."""

    kind: Literal["directory"] = "directory"
    path: Path


Storage = Annotated[S3Storage | DirectoryStorage, Field(discriminator="kind")]


class Listeners(Frozen):
    """Ports of one replica. The private domain has a listener of its own, so no header can fake it."""

    address: str = "0.0.0.0"  # noqa: S104 - a pod listens on its own address, unknown when rendered
    public: int = 8443
    private: int | None = 8444
    internal: int | None = 8445  # mTLS: the operator reads ReplicaState here
    probes: int | None = 8080  # plain HTTP: /livez, /readyz, /metrics


class Tls(Frozen):
    """Certificates, each a directory with tls.crt and tls.key, read again when renewed."""

    server: Path | None = None  # public and private domain
    internal: Path | None = None  # and ca.crt, which signs the operator's client certificate


class PolicySource(Frozen):
    """Where the policy comes from: Secrets to watch, with the mounted copy as start and fallback.

    `secrets` are the shards' names in the order of the merge; `directory` holds one folder for each,
    with `policy.json.gz` inside. Without `namespace` only the files are followed.
    """

    directory: Path
    secrets: tuple[str, ...]
    namespace: str | None = None


class Encryption(Frozen):
    """The tenant's keys, which content and metadata are encrypted under before they leave the replica.

    A directory of a mounted Secret, one file a key, read again when it changes. A key has 32 bytes: raw,
    as base64 or in hex. Which of them encrypts, the Policy says; all of them decrypt.
    """

    keys: Path


class Cache(Frozen):
    """A directory of the replica's own for blobs that were pulled lately, at most `size` bytes.

    It is emptied at the start. Of encrypted content it holds the ciphertext.
    """

    path: Path
    size: int = Field(ge=1)


class Collection(Frozen):
    """When what nothing refers to any more is taken away.

    It is hidden when it has been unreferenced for the grace, and goes when it was hidden for as long. An
    audit compares the data with the pointers, for what no replica knows of.
    """

    every_seconds: int = Field(default=6 * 3600, ge=60)
    grace_seconds: int = Field(default=24 * 3600, ge=0)
    audit_seconds: int = Field(default=7 * 24 * 3600, ge=60)


class Tracing(Frozen):
    """Where spans of requests go: OTLP over HTTP, at `<endpoint>/v1/traces`."""

    endpoint: str
    sampling_rate_per_million: int = Field(default=10_000, ge=0, le=1_000_000)  # requests


class Limits(Frozen):
    """Bounds on what one request or one session may take."""

    manifest_bytes: int = Field(default=4 * 1024 * 1024 + 65536, ge=4 * 1024 * 1024)
    inline_bytes: int = Field(default=16 * 1024, ge=0, le=256 * 1024)  # of a blob that lies in its pointer
    upload_seconds: int = Field(default=24 * 3600, ge=60)  # an idle session's life, and a lapsed bearer's
    bearer_seconds: int = Field(default=300, ge=60)
    drain_seconds: float = Field(default=30, ge=0)


class RuntimeConfig(Frozen):
    """All of a replica's configuration; mounted as `config.json`."""

    registry: str  # "<namespace>/<name>" of the Registry; audience and issuer of its bearer tokens
    owner: str  # UID of the Registry: the bucket's marker must name it
    hosts: tuple[str, ...]  # allowed host names of the public listener, the canonical one first
    private_hosts: tuple[str, ...] = ()
    storage: Storage
    listeners: Listeners = Listeners()
    tls: Tls = Tls()
    policy: PolicySource
    signing_key: Path | None = None  # PEM, EC P-256, shared by the replicas; None: made at the start
    cache: Cache | None = None  # None: every pull is the bucket's
    encryption: Encryption | None = None
    collection: Collection = Collection()
    limits: Limits = Limits()
    tracing: Tracing | None = None  # None: no spans, and nothing of what makes them is loaded

    def document(self) -> str:
        """As it is mounted: what was said, and nothing that is as it is without a word.

        So a field that is new changes no document of before, and a runtime that is older reads each that
        does not make use of it. What was said stands there also where it is the default of today.
        """
        return json.dumps(_said(self), indent=1)


def _said(section: Frozen) -> dict[str, Any]:
    said: dict[str, Any] = {}
    plain = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        is_said = name in section.model_fields_set and not (value is None and field.default is None)
        if is_said or name == "kind":
            said[name] = _said(value) if isinstance(value, Frozen) else plain[name]
    return said
