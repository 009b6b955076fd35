"""Roles and subjects of Namespaces, and who vouches for identities, as the replicas need to know them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_runtime.contract import subject
from registry_runtime.contract.credential import token_id
from registry_runtime.contract.policy import Access, Action
from registry_runtime.contract.subject import KubernetesProvider, OidcProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry_operator.models import AccessToken, Key, Namespace, OidcSubject, Registry, Role, Subject

ROLES: Mapping[Role, frozenset[Action]] = {
    "Reader": frozenset({Action.PULL, Action.LIST}),
    "Writer": frozenset({Action.PULL, Action.PUSH, Action.DELETE}),
    "Manager": frozenset(Action),
}


def access(registry: Registry, namespace: Namespace, tokens: Mapping[Key, AccessToken]) -> tuple[Access, ...]:
    """What a Namespace grants. A subject that is not there yet is left out: its resource brings it in."""
    name = namespace.spec.name
    made = []
    for entry in namespace.spec.access:
        found = (_subject(registry, namespace, one, tokens) for one in entry.subjects)
        subjects = tuple(one for one in found if one is not None)
        if subjects:
            globs = entry.repositories or (name, f"{name}/**")
            made.append(Access(repositories=globs, actions=ROLES[entry.role], subjects=subjects))
    return tuple(made)


def oidc(registry: Registry) -> dict[str, OidcProvider]:
    return {
        one.name: OidcProvider(
            issuer=one.issuer,
            audience=one.audience,
            claims=one.claims,
            user=one.user_claim,
            ca=one.ca_bundle,
        )
        for one in registry.spec.authentication.oidc
    }


def kubernetes(registry: Registry) -> KubernetesProvider | None:
    found = registry.spec.authentication.kubernetes
    if found is None:
        return None
    return KubernetesProvider(audience=found.audience or registry.spec.hostname, review=found.review)


def _subject(
    registry: Registry, namespace: Namespace, one: Subject, tokens: Mapping[Key, AccessToken]
) -> str | None:
    own = namespace.meta.namespace
    if one.access_token is not None:
        token = tokens.get(one.access_token.key(own))
        return subject.token(token_id(token.meta.uid)) if token is not None else None
    if one.service_account is not None:
        wanted = one.service_account
        return subject.service_account(wanted.namespace or own, wanted.name or "*")
    return _of_provider(registry, one.oidc) if one.oidc is not None else None


def _of_provider(registry: Registry, wanted: OidcSubject) -> str | None:
    """User and group are globs of the claims that their provider names."""
    provider = next((one for one in registry.spec.authentication.oidc if one.name == wanted.provider), None)
    if provider is None:
        return None
    claims = dict(wanted.claims)
    if wanted.user is not None:
        claims[provider.user_claim] = wanted.user
    if wanted.group is not None:
        claims[provider.groups_claim] = wanted.group
    return subject.oidc(provider.name, claims) if claims else None
