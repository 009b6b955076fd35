"""AccessToken: a robot of one account, with its password and pull secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field

from registry_operator.models.base import (
    DURATION,
    Key,
    NamespaceName,
    ObjectName,
    OwnStatus,
    Resource,
    Selector,
    Time,
    Value,
    rules,
    seconds,
)
from registry_operator.models.reference import RegistryRef

Domain = Literal["Public", "Private"]
COMPONENT = r"[a-z0-9*._-]+"


class Permission(Value):
    """Actions on repositories of the account's own Namespaces."""

    repositories: Annotated[
        tuple[
            Annotated[str, Field(min_length=1, max_length=255, pattern=rf"^{COMPONENT}(/{COMPONENT})*$")], ...
        ],
        Field(
            min_length=1,
            max_length=64,
            description=(
                "Globs of full repository names, such as `shop/*`: * stays within one component of the "
                "path, ** spans several."
            ),
        ),
    ]
    actions: Annotated[
        tuple[Literal["pull", "push", "delete"], ...],
        Field(
            min_length=1,
            max_length=3,
            description="What is allowed; pull includes listing tags.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ]


class PullSecrets(Value):
    """Secrets of type kubernetes.io/dockerconfigjson with this token's password."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.namespaces) || has(self.selector)",
                "spec.pullSecrets must name its targets by namespaces, by selector, or by both",
            ),
        )
    )

    name: Annotated[ObjectName | None, Field(description="Name of the Secrets; default: <token>-pull.")] = (
        None
    )
    namespaces: Annotated[
        tuple[NamespaceName, ...] | None,
        Field(
            max_length=256,
            description="Kubernetes namespaces that get one.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = None
    selector: Annotated[
        Selector | None,
        Field(description="Labels of further Kubernetes namespaces that get one, new ones included."),
    ] = None
    domains: Annotated[
        tuple[Domain, ...],
        Field(
            min_length=1,
            max_length=2,
            description="Domains that have an entry.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ("Public", "Private")


class AccessTokenSpec(Value):
    """What the user declares."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!(has(self.expiresAfter) && has(self.expiresAt))",
                "spec.expiresAfter and spec.expiresAt exclude each other",
            ),
        )
    )

    registry_refs: Annotated[
        tuple[RegistryRef, ...],
        Field(min_length=1, max_length=16, description="Registries in which the one password is valid."),
    ]
    permissions: Annotated[
        tuple[Permission, ...],
        Field(max_length=32, description="What is allowed; nothing unless it stands here."),
    ] = ()
    expires_after: Annotated[
        str | None,
        Field(
            max_length=7,
            pattern=DURATION,
            description="Life since the resource was created: a number and s, m, h or d, such as 90d.",
        ),
    ] = None
    expires_at: Annotated[Time | None, Field(description="When it ends (RFC 3339).")] = None
    suspended: Annotated[bool, Field(description="Refused on every replica while true.")] = False
    secret_name: Annotated[
        ObjectName | None,
        Field(description="Secret with `username` and `password`; default: metadata.name."),
    ] = None
    pull_secrets: Annotated[
        PullSecrets | None, Field(description="Pull secrets in Kubernetes namespaces.")
    ] = None


class Targets(Value):
    """How far the pull secrets have come."""

    wanted: Annotated[int, Field(description="Kubernetes namespaces that should have the pull secret.")]
    reached: Annotated[int, Field(description="Those that have it, with the password of now.")]


class AccessTokenStatus(OwnStatus):
    """What the operator found; never a password."""

    id: Annotated[str | None, Field(description="Id of the token, as in logs; no secret.")] = None
    secret_name: Annotated[str | None, Field(description="Secret that holds the password.")] = None
    expires_at: Annotated[Time | None, Field(description="When it ends; none: never.")] = None
    targets: Annotated[Targets | None, Field(description="How far the pull secrets have come.")] = None


@dataclass(frozen=True)
class AccessToken(Resource[AccessTokenSpec, AccessTokenStatus]):
    """An AccessToken."""

    KIND = "AccessToken"

    @property
    def registries(self) -> tuple[Key, ...]:
        """The Registries that it names, each once."""
        return tuple(dict.fromkeys(ref.key(self.meta.namespace) for ref in self.spec.registry_refs))

    @property
    def secret(self) -> Key:
        """Where its password stands."""
        return Key(self.meta.namespace, self.spec.secret_name or self.meta.name)

    @property
    def pull_secret_name(self) -> str:
        wanted = self.spec.pull_secrets
        return (wanted and wanted.name) or f"{self.meta.name}-pull"

    @property
    def expires(self) -> datetime | None:
        """When it ends; None: never."""
        if self.spec.expires_after:
            return self.meta.created + timedelta(seconds=seconds(self.spec.expires_after))
        return self.spec.expires_at

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> Self:
        """Raises InvalidResource."""
        return cls._parse(obj, AccessTokenSpec, AccessTokenStatus)
