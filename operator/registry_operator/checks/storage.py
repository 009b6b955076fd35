"""StorageReady: whether the bucket can be used, first by what is declared, then by what replicas found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_operator import names
from registry_operator.checks.finding import Finding, kept, no, unknown, yes
from registry_operator.checks.sentences import not_permitted
from registry_operator.models import Key
from registry_operator.observed import Absence, RegistryObserved, SecretData
from registry_runtime.contract.state import StorageReason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry_operator.models import S3
    from registry_operator.settings import Settings

TYPE = "StorageReady"
CREDENTIALS = ("accessKeyID", "secretAccessKey")
NO_FAULT = frozenset({StorageReason.READY, StorageReason.CHECKING})


def check(observed: RegistryObserved, settings: Settings) -> Finding:
    s3 = observed.registry.spec.storage.s3
    declared = _declared(s3, observed, settings) if s3 else None
    return declared or _reported(observed)


def _declared(s3: S3, observed: RegistryObserved, settings: Settings) -> Finding | None:
    """What is wrong with the Secrets and the CA bundle that the spec names."""
    for name, keys, field in _secrets(s3):
        place = f"Secret {Key(observed.registry.meta.namespace, name)} of spec.storage.s3.{field}"
        fault = _secret(Key(observed.registry.meta.namespace, name), keys, place, observed, settings)
        if fault:
            return fault
    return _ca_bundle(s3, observed)


def _secrets(s3: S3) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Names of those that the spec names, with the keys that they must have, and the field."""
    if s3.credentials_secret_ref:
        yield s3.credentials_secret_ref.name, CREDENTIALS, "credentialsSecretRef"
    if s3.server_side_encryption and s3.server_side_encryption.key_secret_ref:
        reference = s3.server_side_encryption.key_secret_ref
        yield reference.name, (reference.key,), "serverSideEncryption.keySecretRef"


def _secret(
    key: Key, wanted: tuple[str, ...], place: str, observed: RegistryObserved, settings: Settings
) -> Finding | None:
    found = observed.secrets.get(key)
    if found is Absence.NOT_PERMITTED:
        message = not_permitted([key.namespace], settings, names.REGISTRY_ROLE)
        return no(TYPE, "SecretsNotPermitted", message, mend=True)
    if not isinstance(found, SecretData):
        message = f"{place} does not exist; create it with {' and '.join(wanted)}"
        return no(TYPE, "SecretNotFound", message, mend=True)
    missing = [name for name in wanted if not found.values.get(name)]
    if missing:
        message = f"{place} lacks {' and '.join(missing)}"
        return no(TYPE, "SecretKeyMissing", message, mend=True)
    return None


def _ca_bundle(s3: S3, observed: RegistryObserved) -> Finding | None:
    reference = s3.ca_bundle_ref
    if reference is None:
        return None
    key = Key(observed.registry.meta.namespace, reference.name)
    place = f"{reference.kind} {key} of spec.storage.s3.caBundleRef"
    secret = observed.secrets.get(key)
    in_secret = secret.values if isinstance(secret, SecretData) else secret
    found = in_secret if reference.kind == "Secret" else observed.ca_bundle
    if isinstance(found, Absence):
        return no(TYPE, "CABundleNotFound", f"{place} does not exist", mend=True)
    if found is not None and not found.get(reference.key):
        return no(TYPE, "CABundleKeyMissing", f"{place} lacks the key {reference.key}", mend=True)
    return None


def _reported(observed: RegistryObserved) -> Finding:
    """A fault that any replica has found; else that it works; else what was known before."""
    pods = [endpoint.pod for endpoint in observed.endpoints if not endpoint.terminating]
    states = [state.storage for pod in sorted(pods) if (state := observed.replicas.get(pod)) is not None]
    faults = [state for state in states if state.reason not in NO_FAULT]
    if faults:
        lasting = [state for state in faults if state.reason is not StorageReason.UNREACHABLE]
        fault = (lasting or faults)[0]
        return no(TYPE, fault.reason, fault.message or fault.reason, mend=bool(lasting))
    if any(state.reason is StorageReason.READY for state in states):
        return _works(observed)
    before = kept(TYPE, observed.registry.status, observed.registry.meta.generation)
    if before and any(pod not in observed.replicas for pod in pods):
        return before
    return unknown(TYPE, StorageReason.CHECKING, "no replica has reported yet what it found")


def _works(observed: RegistryObserved) -> Finding:
    if observed.registry.spec.storage.s3 is None:
        return yes(TYPE, "Ephemeral", "for trying out: all content is lost with the replica's pod")
    return yes(TYPE, StorageReason.READY, "the replicas read and write the bucket")
