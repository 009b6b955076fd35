"""AccessToken: a robot of one account, with its password and pull secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field

from registry_operator.models.base import (
    ALIKE,
    DURATION,
    Key,
    NamespaceName,
    ObjectName,
    OwnStatus,
    Resource,
    Selector,
    Subnet,
    Time,
    Value,
    rules,
    seconds,
)
from registry_operator.models.glob import Glob
from registry_operator.models.reference import RegistryRef
from registry_runtime.contract.policy import Action, Grant

ACTIONS = {
    "pull": frozenset({Action.PULL, Action.LIST}),  # clients that pull ask for tags, too
    "push": frozenset({Action.PUSH}),
    "delete": frozenset({Action.DELETE}),
}
Domain = Literal["Public", "Private"]
REPOSITORY = r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$"  # distribution-spec
TAG = r"^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$"


class Permission(Value):
    """Actions on repositories of the account's own Namespaces."""

    repositories: Annotated[
        tuple[Glob, ...],
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

    @property
    def grant(self) -> Grant:
        return _grant(self)


@lru_cache(1 << 10)  # many tokens have the same
def _grant(permission: Permission) -> Grant:
    actions = frozenset[Action]().union(*(ACTIONS[action] for action in permission.actions))
    return Grant(repositories=permission.repositories, actions=actions)


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
    service_accounts: Annotated[
        tuple[ObjectName, ...],
        Field(
            max_length=16,
            description=(
                "ServiceAccounts of these Kubernetes namespaces whose `imagePullSecrets` name the Secret; "
                "entries of others stay."
            ),
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ()

    def choose(self, namespace: str, labels: Mapping[str, str] | None) -> bool:
        """Whether a Kubernetes namespace is a target, by its name or by its labels (None: not known)."""
        selected = self.selector is not None and labels is not None and self.selector.matches(labels)
        return selected or namespace in (self.namespaces or ())


class Image(Value):
    """What each use of a token may push."""

    repository: Annotated[
        str | None, Field(max_length=255, pattern=REPOSITORY, description="The only repository.")
    ] = None
    tag: Annotated[str | None, Field(pattern=TAG, description="The only tag.")] = None
    max_bytes: Annotated[
        int | None,
        Field(ge=1, le=2**53, description="Most bytes of the manifest with all that it names."),
    ] = None


class Rotation(Value):
    """A new password now and then, and a time in which both are good."""

    every: Annotated[
        str,
        Field(max_length=7, pattern=DURATION, description="A number and s, m, h or d, such as 30d."),
    ]
    overlap: Annotated[
        str,
        Field(
            max_length=7,
            pattern=DURATION,
            description=(
                "How long the password of before stays good after every target has the new one, such as 1h; "
                "at most spec.rotation.every."
            ),
        ),
    ] = "1h"


class AccessTokenSpec(Value):
    """What the user declares."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!(has(self.expiresAfter) && has(self.expiresAt))",
                "spec.expiresAfter and spec.expiresAt exclude each other",
            ),
            (
                "!has(self.image) || has(self.uses)",
                "spec.image binds the uses of a token: set spec.uses with it",
            ),
            (
                (
                    "!has(self.uses) || !has(self.permissions)"
                    " || self.permissions.all(one, !('delete' in one.actions))"
                ),
                "a token with spec.uses must not have the action delete: it could push again what it deleted",
            ),
        )
    )

    registry_refs: Annotated[
        tuple[Annotated[RegistryRef, ALIKE], ...],
        Field(min_length=1, max_length=16, description="Registries in which the one password is valid."),
    ]
    permissions: Annotated[
        tuple[Annotated[Permission, ALIKE], ...],
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
    when_expired: Annotated[
        Literal["Keep", "Delete"], Field(description="What becomes of this resource at its end.")
    ] = "Keep"
    uses: Annotated[
        int | None,
        Field(
            ge=1,
            le=1000,
            description=(
                "How many images it may push, each one new tag, or one digest where no tag is given; "
                "1 is a one-time token."
            ),
        ),
    ] = None
    image: Annotated[Image | None, Field(description="What each use may push, at most.")] = None
    networks: Annotated[
        tuple[Subnet, ...],
        Field(
            max_length=32,
            description="Subnets (CIDR) that it may be used from, as the replicas see clients; none: all.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ()
    rotation: Annotated[Rotation | None, Field(description="When the password changes by itself.")] = None
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
    uses_left: Annotated[int | None, Field(description="Of spec.uses, as the replicas found.")] = None
    last_used_at: Annotated[
        Time | None, Field(description="When it was last used; told at most once a minute.")
    ] = None
    rotated_at: Annotated[Time | None, Field(description="Since when the password of now is given out.")] = (
        None
    )
    rotates_at: Annotated[Time | None, Field(description="When the next one is due.")] = None


@dataclass(frozen=True)
class AccessToken(Resource[AccessTokenSpec, AccessTokenStatus]):
    """An AccessToken."""

    KIND = "AccessToken"

    @cached_property
    def grants(self) -> tuple[Grant, ...]:
        """Its permissions in the words of the policy."""
        return tuple(permission.grant for permission in self.spec.permissions)

    @property
    def registries(self) -> tuple[Key, ...]:
        """The Registries that it names, each once."""
        return tuple(dict.fromkeys(ref.key(self.meta.namespace) for ref in self.spec.registry_refs))

    @cached_property
    def secret(self) -> Key:
        """Where its password stands."""
        named = self.spec.secret_name
        return Key(self.meta.namespace, named) if named else self.key

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
