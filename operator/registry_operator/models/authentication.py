"""Who, beside AccessTokens, may say who somebody is: OIDC providers, and this cluster."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from registry_operator.models.access import ClaimGlob, ClaimName, ProviderName
from registry_operator.models.base import Value, rules

_PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"


class OidcProvider(Value):
    """An issuer of ID tokens (OpenID Connect Core 1.0): one of them is a password here."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self.name != 'kubernetes'", "the name kubernetes is that of this cluster's ServiceAccounts"),
        )
    )

    name: Annotated[ProviderName, Field(description="How subjects of Namespaces name it.")]
    issuer: Annotated[
        str,
        Field(
            min_length=9,
            max_length=512,
            pattern=rf"^https://[A-Za-z0-9.-]+(:{_PORT})?(/[^\s?#]*)?$",
            description="URL of the issuer, to the letter as in `iss`; its keys are found from there.",
        ),
    ]
    audience: Annotated[
        str, Field(min_length=1, max_length=512, description="What `aud` must hold: a client's id, or a URL.")
    ]
    user_claim: Annotated[ClaimName, Field(description="Claim that says who it is.")] = "sub"
    groups_claim: Annotated[ClaimName, Field(description="Claim with the groups.")] = "groups"
    claims: dict[ClaimName, ClaimGlob] = Field(
        default={}, max_length=16, description="Globs that must all match, whoever it is."
    )
    ca_bundle: Annotated[
        str | None,
        Field(
            max_length=65536,
            pattern=r"^\s*-----BEGIN CERTIFICATE-----",
            description="PEM of the CA of the issuer's certificate, where that is no public one.",
        ),
    ] = None


class KubernetesProvider(Value):
    """ServiceAccounts of this cluster: nodes pull with the token of the pod's own, and no Secret."""

    audience: Annotated[
        str | None,
        Field(min_length=1, max_length=512, description="Audience of the tokens; default: spec.hostname."),
    ] = None
    review: Annotated[
        bool,
        Field(
            description=(
                "Whether each token is also asked of the API server, which refuses it once its pod is gone. "
                "It needs the ClusterRole `roadstead-token-review`. Without, it is good until it expires."
            )
        ),
    ] = False


class Authentication(Value):
    """Beside the passwords of AccessTokens, which are always good."""

    oidc: Annotated[
        tuple[OidcProvider, ...],
        Field(
            max_length=8,
            description="Providers of ID tokens.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    kubernetes: Annotated[
        KubernetesProvider | None, Field(description="ServiceAccounts of this cluster, for keyless pulls.")
    ] = None
