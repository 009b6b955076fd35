"""Namespace: a name in a Registry, owned by the Kubernetes namespace that the resource lives in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field

from registry_operator.models.access import Access
from registry_operator.models.base import ALIKE, Key, OwnStatus, Resource, Value, rules
from registry_operator.models.reference import RegistryRef

# A first component of a repository name (OCI distribution-spec, "Pulling manifests"), without dots.
CLAIMED_NAME = r"^[a-z0-9]+((_|__|-+)[a-z0-9]+)*$"


class NamespaceSpec(Value):
    """What the user declares."""

    registry_ref: Annotated[
        RegistryRef,
        ALIKE,
        Field(
            description="The Registry.",
            json_schema_extra=rules(("self == oldSelf", "spec.registryRef is immutable")),
        ),
    ]
    name: Annotated[
        str,
        Field(
            min_length=4,
            max_length=30,
            pattern=CLAIMED_NAME,
            description=(
                "The name that is claimed: the first component of its repositories, 4 to 30 of a-z, 0-9, "
                "_ and -, beginning and ending with a letter or digit. It never follows metadata.name."
            ),
            json_schema_extra=rules(("self == oldSelf", "spec.name is immutable")),
        ),
    ]
    sparse_indexes: Annotated[
        bool,
        Field(
            description=(
                "Whether an index may name manifests that are not in its repository. Builders push an index "
                "and its images in any order; false refuses it until all of them are there."
            )
        ),
    ] = True
    sparse_images: Annotated[
        bool,
        Field(
            description=(
                "Whether an image's manifest may name a config or layers that are not in its repository, as "
                "partial mirrors do. Whoever pulls such an image may fail."
            )
        ),
    ] = False
    access: Annotated[
        tuple[Access, ...],
        Field(
            max_length=64,
            description=(
                "Who may do what here, whichever account they belong to. AccessTokens of this account need "
                "no entry: their own permissions say it."
            ),
        ),
    ] = ()
    private_only: Annotated[
        bool,
        Field(description="The public domain refuses pulls and pushes here; the private domain serves them."),
    ] = False


class NamespaceStatus(OwnStatus):
    """What the operator found."""

    bound_to: Annotated[
        str | None, Field(description="Where its repositories are: <hostname>/<name>, while it is bound.")
    ] = None


@dataclass(frozen=True)
class Namespace(Resource[NamespaceSpec, NamespaceStatus]):
    """A Namespace (not the core kind)."""

    KIND = "Namespace"

    @property
    def registry(self) -> Key:
        return self.spec.registry_ref.key(self.meta.namespace)

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> Self:
        """Raises InvalidResource."""
        return cls._parse(obj, NamespaceSpec, NamespaceStatus)
