"""A Namespace's access: roles for subjects, whichever account they belong to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from registry_operator.models.base import Key, NamespaceName, ObjectName, Value, rules
from registry_operator.models.glob import Glob

Role = Literal["Reader", "Writer", "Manager"]
ProviderName = Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")]
ClaimName = Annotated[str, Field(min_length=1, max_length=128)]
ClaimGlob = Annotated[str, Field(min_length=1, max_length=512)]


class TokenRef(Value):
    """An AccessToken, of any account that the Registry lets in."""

    name: Annotated[ObjectName, Field(description="Name of the AccessToken.")]
    namespace: Annotated[
        NamespaceName | None,
        Field(description="Its Kubernetes namespace; default: the one of this resource."),
    ] = None

    def key(self, own_namespace: str) -> Key:
        return Key(self.namespace or own_namespace, self.name)


class ServiceAccountRef(Value):
    """ServiceAccounts of this cluster, for pulls without Secrets."""

    name: Annotated[ObjectName | None, Field(description="Name; default: every one of the namespace.")] = None
    namespace: Annotated[
        NamespaceName | None,
        Field(description="Their Kubernetes namespace; default: the one of this resource."),
    ] = None


class OidcSubject(Value):
    """Whoever has an ID token of a provider in which all of this matches."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.user) || has(self.group) || (has(self.claims) && size(self.claims) > 0)",
                "an oidc subject must have one of user, group and claims: else it would be everybody",
            ),
        )
    )

    provider: Annotated[ProviderName, Field(description="Name in the Registry's `authentication.oidc`.")]
    user: Annotated[ClaimGlob | None, Field(description="Glob of the provider's `userClaim`.")] = None
    group: Annotated[
        ClaimGlob | None, Field(description="Glob of one element of the provider's `groupsClaim`.")
    ] = None
    claims: dict[ClaimName, ClaimGlob] = Field(
        default={},
        max_length=16,
        description=(
            "Globs by the claim's name, such as `repository: shop/web`: * stays between slashes, ** does not."
        ),
    )


class Subject(Value):
    """Exactly one of the fields."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "[has(self.accessToken), has(self.serviceAccount), has(self.oidc)].filter(x, x).size() == 1",
                "a subject has exactly one of accessToken, serviceAccount and oidc",
            ),
        )
    )

    access_token: Annotated[TokenRef | None, Field(description="A robot.")] = None
    service_account: Annotated[ServiceAccountRef | None, Field(description="Pods of this cluster.")] = None
    oidc: Annotated[OidcSubject | None, Field(description="People, and CI.")] = None


class Access(Value):
    """A role for subjects."""

    role: Annotated[
        Role,
        Field(
            description=(
                "Reader pulls and lists; Writer pulls, pushes and deletes, but lists nothing; Manager: all."
            )
        ),
    ]
    subjects: Annotated[tuple[Subject, ...], Field(min_length=1, max_length=32, description="Who has it.")]
    repositories: Annotated[
        tuple[Glob, ...],
        Field(max_length=16, description="Globs of full repository names; none: all of the Namespace."),
    ] = ()
