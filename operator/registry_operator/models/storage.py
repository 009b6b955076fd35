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


class S3(Value):
    """A bucket of an S3 server that supports conditional writes."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.endpoint) || !self.endpoint.startsWith('http://') || self.insecure",
                "spec.storage.s3.endpoint must begin with https://, or set spec.storage.s3.insecure: true",
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
            pattern=r"^https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?/?$",
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
        SecretRef,
        Field(description="Secret with `accessKeyID`, `secretAccessKey` and, optional, `sessionToken`."),
    ]
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
