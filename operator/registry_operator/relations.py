"""Who refers to whom, as the resources say it themselves."""

import re

from registry_operator import names
from registry_operator.models import AccessToken, Key, Namespace, Registry
from registry_operator.models.base import DNS_NAME, LONGEST_NAME


def registries_of(obj: Registry | Namespace | AccessToken | None) -> tuple[Key, ...]:
    """The Registries that a resource names."""
    match obj:
        case Registry():
            return (obj.key,)
        case Namespace():
            return (obj.registry,)
        case AccessToken():
            return obj.registries
        case None:
            return ()


def waits(one: Registry | Namespace | AccessToken) -> bool:
    """Whether its status does not say yet that it is in force."""
    ready = one.status.condition("Ready")
    return ready is None or ready.status != "True" or ready.observed_generation != one.meta.generation


def guests_of(claim: Namespace) -> frozenset[Key]:
    """The AccessTokens that a Namespace gives access to."""
    own = claim.meta.namespace
    subjects = (subject for entry in claim.spec.access for subject in entry.subjects)
    return frozenset(one.access_token.key(own) for one in subjects if one.access_token is not None)


def bundle_of(registry: Registry) -> Key | None:
    """The ConfigMap with the CA of its storage."""
    storage = registry.spec.storage.s3
    if storage is None or storage.ca_bundle_ref is None or storage.ca_bundle_ref.kind != "ConfigMap":
        return None
    return Key(registry.meta.namespace, storage.ca_bundle_ref.name)


def references(registry: Registry) -> frozenset[str]:
    """Names of the Secrets of others that a Registry refers to, in its own namespace."""
    found = {ref.name for ref in registry.spec.image_pull_secrets}
    if registry.spec.tls.secret_ref:
        found.add(registry.spec.tls.secret_ref.name)
    if registry.spec.tls.issuer_ref:
        found.add(names.tls(registry).name)  # cert-manager makes it
    if registry.spec.encryption:
        found.add(registry.spec.encryption.key_secret_ref.name)
    if storage := registry.spec.storage.s3:
        if storage.credentials_secret_ref:
            found.add(storage.credentials_secret_ref.name)
        if storage.server_side_encryption and storage.server_side_encryption.key_secret_ref:
            found.add(storage.server_side_encryption.key_secret_ref.name)
        if storage.ca_bundle_ref and storage.ca_bundle_ref.kind == "Secret":
            found.add(storage.ca_bundle_ref.name)
    return frozenset(found)


def owner_of(annotation: str) -> Key | None:
    """The AccessToken that a Secret's annotation names as its owner; None where that is nothing of ours."""
    kind, _, place = annotation.partition(" ")
    namespace, _, name = place.partition("/")
    # Anybody may write it, and it is part of a path to the API server.
    named = all(re.fullmatch(DNS_NAME, part) and len(part) <= LONGEST_NAME for part in (namespace, name))
    return Key(namespace, name) if kind == AccessToken.KIND and named else None
