"""Where a Registry keeps its content."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from registry_operator.models.base import DURATION, ObjectName, Value, rules

SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]


class SecretRef(Value):
    """A Secret in the Registry's own Kubernetes namespace."""

    name: Annotated[ObjectName, Field(description="Name of the Secret.")]


class CaBundleRef(Value):
    """A CA bundle in PEM, in a ConfigMap or Secret of the Registry's own Kubernetes namespace."""

    kind: Annotated[Literal["ConfigMap", "Secret"], Field(description="What holds the bundle.")] = "ConfigMap"
    name: Annotated[ObjectName, Field(description="Name of the ConfigMap or Secret.")]
    key: Annotated[SecretKey, Field(description="Key in it.")] = "ca.crt"


ENDPOINT = r"^https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?/?$"


class CustomerKeyRef(Value):
    """A key of 32 bytes, as they are or in base64, in a Secret of the Registry's own Kubernetes namespace."""

    name: Annotated[ObjectName, Field(description="Name of the Secret.")]
    key: Annotated[SecretKey, Field(description="Key in it.")] = "key"


class ServerSideEncryption(Value):
    """Who encrypts is the S3 server; `spec.encryption` is what hides content from it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.keySecretRef) == (self.type == 'SSE-C')",
                "spec.storage.s3.serverSideEncryption.keySecretRef must be there with SSE-C, and only there",
            ),
            (
                "!has(self.keyID) || self.type == 'SSE-KMS'",
                "spec.storage.s3.serverSideEncryption.keyID is for SSE-KMS",
            ),
            (
                "!has(self.keyID) || !self.keyID.contains('alias/')",
                (
                    "spec.storage.s3.serverSideEncryption.keyID must be the key's id or ARN: the bucket "
                    "never says an alias, so nobody could see whether it was used"
                ),
            ),
        )
    )

    type: Annotated[
        Literal["SSE-S3", "SSE-KMS", "SSE-C"],
        Field(
            description="Keys of the S3 server, of its key management, or one that goes with each request."
        ),
    ]
    key_id: Annotated[
        str | None,
        Field(
            alias="keyID",
            min_length=1,
            max_length=2048,
            pattern=r"^[A-Za-z0-9:/_.-]+$",
            description="With SSE-KMS: id or ARN of the key; default: the bucket's default key.",
        ),
    ] = None
    key_secret_ref: Annotated[
        CustomerKeyRef | None, Field(description="With SSE-C: the key. Whoever loses it loses the content.")
    ] = None


class WorkloadIdentity(Value):
    """The identity of the replicas' ServiceAccount, which has the Registry's name."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.stsEndpoint) || has(self.roleARN)",
                "spec.storage.s3.workloadIdentity.stsEndpoint is for a roleARN",
            ),
        )
    )

    role_arn: Annotated[
        str | None,
        Field(
            alias="roleARN",
            min_length=20,
            max_length=2048,
            pattern=r"^arn:[a-z0-9-]+:iam:[a-z0-9-]*:[0-9]*:role/[A-Za-z0-9+=,.@/_-]+$",
            description=(
                "Role that the ServiceAccount's token is exchanged for; default: what the platform injects "
                "into pods of the ServiceAccount."
            ),
        ),
    ] = None
    audience: Annotated[
        str,
        Field(min_length=1, max_length=253, pattern=r"^[!-~]+$", description="For whom the token is issued."),
    ] = "sts.amazonaws.com"
    sts_endpoint: Annotated[
        str | None,
        Field(max_length=300, pattern=ENDPOINT, description="URL of the STS; default: AWS, by region."),
    ] = None


class S3(Value):
    """A bucket of an S3 server that supports conditional writes."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.endpoint) || !self.endpoint.startsWith('http://') || self.insecure",
                "spec.storage.s3.endpoint must begin with https://, or set spec.storage.s3.insecure: true",
            ),
            (
                (
                    "!has(self.workloadIdentity) || !has(self.workloadIdentity.stsEndpoint)"
                    " || !self.workloadIdentity.stsEndpoint.startsWith('http://') || self.insecure"
                ),
                (
                    "spec.storage.s3.workloadIdentity.stsEndpoint must begin with https://, or set "
                    "spec.storage.s3.insecure: true"
                ),
            ),
            (
                "has(self.credentialsSecretRef) != has(self.workloadIdentity)",
                "spec.storage.s3 must have exactly one of credentialsSecretRef and workloadIdentity",
            ),
            (
                (
                    "!has(self.serverSideEncryption) || self.serverSideEncryption.type != 'SSE-C'"
                    " || !has(self.endpoint) || self.endpoint.startsWith('https://')"
                ),
                (
                    "spec.storage.s3.serverSideEncryption of type SSE-C sends its key with each request: "
                    "spec.storage.s3.endpoint must begin with https://"
                ),
            ),
            (
                (
                    "self.bucket != oldSelf.bucket || self.prefix != oldSelf.prefix"
                    " || (has(self.serverSideEncryption) && self.serverSideEncryption.type == 'SSE-C')"
                    " == (has(oldSelf.serverSideEncryption) && oldSelf.serverSideEncryption.type == 'SSE-C')"
                ),
                (
                    "spec.storage.s3.serverSideEncryption of type SSE-C is never added or removed later: "
                    "what lies in the bucket could not be read any more"
                ),
            ),
        )
    )

    bucket: Annotated[
        str,
        Field(
            min_length=3,
            max_length=63,
            pattern=r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$",
            description="Name of the bucket. It must exist; Roadstead never creates or deletes one.",
        ),
    ]
    endpoint: Annotated[
        str | None,
        Field(
            max_length=300,
            pattern=ENDPOINT,
            description="URL of the S3 server without a path; default: AWS, by region.",
        ),
    ] = None
    region: Annotated[
        str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+$", description="Region to sign for.")
    ] = "us-east-1"
    prefix: Annotated[
        str,
        Field(
            max_length=256,
            pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*/?)?$",
            description="Where in the bucket the content lies; default: the whole bucket.",
        ),
    ] = ""
    credentials_secret_ref: Annotated[
        SecretRef | None,
        Field(description="Secret with `accessKeyID`, `secretAccessKey` and, optional, `sessionToken`."),
    ] = None
    workload_identity: Annotated[
        WorkloadIdentity | None, Field(description="No Secret, but what the ServiceAccount may do.")
    ] = None
    server_side_encryption: Annotated[
        ServerSideEncryption | None,
        Field(description="What the S3 server is asked to encrypt; default: what the bucket does by itself."),
    ] = None
    ca_bundle_ref: Annotated[
        CaBundleRef | None,
        Field(description="CA that signed the endpoint's certificate; default: public CAs."),
    ] = None
    path_style: Annotated[
        bool, Field(description="Bucket in the path (true) or in the host name (false).")
    ] = True
    insecure: Annotated[bool, Field(description="Allow an endpoint over plain http://.")] = False


class Ephemeral(Value):
    """The pod's own disk: for trying out. Everything is lost with the pod."""


class Storage(Value):
    """Exactly one of the fields."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.s3) != has(self.ephemeral)",
                "spec.storage must have exactly one of s3 and ephemeral",
            ),
        )
    )

    s3: Annotated[S3 | None, Field(description="A bucket.")] = None
    ephemeral: Annotated[
        Ephemeral | None,
        Field(description="The pod's own disk, for trying out: one replica, lost with the pod."),
    ] = None


class Collection(Value):
    """When what nothing refers to any more is taken away; each replica tries, one at a time does it."""

    every: Annotated[
        str,
        Field(
            max_length=7,
            pattern=DURATION.replace("s|", ""),  # a minute at least: it reads the whole of the metadata
            description="Time between two collections: a number and m, h or d.",
        ),
    ] = "6h"
    grace: Annotated[
        str,
        Field(
            max_length=7,
            pattern=DURATION,
            description=(
                "How long content must have been unreferenced before it is hidden, and then hidden before "
                "it is deleted: a number and s, m, h or d."
            ),
        ),
    ] = "24h"
