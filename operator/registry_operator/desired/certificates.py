"""What a Registry's own CA signs, and which certificate its two domains are served with.

Three may make that one: the Registry's own CA, the user, an issuer of cert-manager. When a spec names another
than before, what was served goes on being served until the new one is there: cert-manager writes into the
Secret that had the own one, and pods are given another Secret only when it can be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from registry_operator import names
from registry_operator.models import Key, Registry
from registry_operator.models.base import seconds
from registry_operator.models.tls import SelfSigned
from registry_operator.observed import RegistryObserved, SecretData
from registry_operator.tls import Authority, Certificate, Renewal, Usage, signing_key

CERTIFICATE = "cert-manager.io/certificate-name"  # annotation of a Secret that cert-manager wrote
Values = Mapping[str, bytes]


@dataclass(frozen=True)
class Certificates:
    """Values of Secrets. `domains` is None where none of ours is served, or wanted."""

    ca: Values = field(repr=False)
    internal: Values = field(repr=False)
    operator: Values = field(repr=False)
    domains: Values | None = field(repr=False)
    served: Key  # the Secret that pods are to mount
    bundle: bytes | None  # what clients must trust; None: unknown, or a public CA
    turns: datetime | None = None  # when the CA is another, if nothing is asked
    issued: bool = False  # cert-manager has written the Secret of `names.tls`


def certificates(observed: RegistryObserved) -> Certificates:
    """Kept while good, made where missing, wrong or due (`tls`)."""
    registry, now = observed.registry, observed.now
    authority = Authority.ensure(
        _kept(observed, names.ca(registry)), f"Roadstead {registry.key}", now, renewal(observed)
    )
    internal = _kept(observed, names.internal(registry))
    client = _kept(observed, names.operator_client(registry))
    server = authority.leaf(internal, (names.state_server(registry),), Usage.SERVER, now)
    kept = _kept(observed, names.tls(registry))
    own = not _is_self_signed(observed) and kept is not None and authority.signed(kept)
    issued = _is_ordered(observed) and not own and _is_issued(observed)
    key = _served(observed, issued=issued)
    domains = None
    if _is_self_signed(observed) or (own and (registry.spec.tls.issuer_ref or key == names.tls(registry))):
        domains = authority.leaf(kept, hosts(registry), Usage.SERVER, now)
    mounted = domains if domains and key == names.tls(registry) else _kept(observed, key)
    return Certificates(
        ca=authority.secret,
        internal={**server, names.SIGNING_KEY: signing_key((internal or {}).get(names.SIGNING_KEY))},
        operator=authority.leaf(client, (names.OPERATOR_CLIENT,), Usage.CLIENT, now),
        domains=domains,
        served=key,
        bundle=(mounted or {}).get("ca.crt"),
        issued=issued,
        turns=authority.turns,
    )


def renewal(observed: RegistryObserved) -> Renewal:
    """When the own CA is followed by another; it signs the replicas' internal certificates in any case.

    While somebody else's certificate is wanted nothing is asked of it: who comes back meets that of before.
    """
    if not _is_self_signed(observed):
        return Renewal(unseen=True)
    own = observed.registry.spec.tls.self_signed or SelfSigned()
    return Renewal(own.ca_generation, timedelta(seconds=seconds(own.ca_notice)))


def hosts(registry: Registry) -> tuple[str, ...]:
    """Every name that the certificate of the domains must have."""
    return (*registry.spec.public_hosts, registry.spec.private_host)


def serving(registry: Registry) -> Key:
    """The Secret that the domains are to be served with: the user's, or that of ours and of cert-manager."""
    given = registry.spec.tls.secret_ref
    return Key(registry.meta.namespace, given.name) if given else names.tls(registry)


def _served(observed: RegistryObserved, *, issued: bool) -> Key:
    """The Secret that pods mount: the wanted one, or the one of before until that can be used."""
    registry = observed.registry
    wanted = serving(registry)
    there = issued or _is_self_signed(observed)
    if there or (registry.spec.tls.secret_ref and _usable(observed, wanted)):
        return wanted
    before = Key(registry.meta.namespace, observed.rollout.certificate) if observed.rollout else wanted
    return before if _usable(observed, before) else wanted


def foreign(observed: RegistryObserved) -> bool:
    """Whether somebody else's Secret is where cert-manager is to write: it would overwrite it."""
    found = observed.secrets.get(names.tls(observed.registry))
    if not isinstance(found, SecretData):
        return False
    return observed.registry.meta.uid not in found.owners and not is_written(found, observed.registry)


def is_written(secret: SecretData, registry: Registry) -> bool:
    """Whether cert-manager has written the Secret for the Registry's Certificate."""
    return secret.annotations.get(CERTIFICATE) == names.tls(registry).name


def _is_issued(observed: RegistryObserved) -> bool:
    key = names.tls(observed.registry)
    found = observed.secrets.get(key)
    written = isinstance(found, SecretData) and is_written(found, observed.registry)
    return written and _usable(observed, key)


def _is_ordered(observed: RegistryObserved) -> bool:
    """Whether cert-manager is who writes: also by a Certificate of before that we may not delete.

    Ours would be written over, and ours over theirs, again and again, each time at the issuer's cost.
    """
    tls = observed.registry.spec.tls
    return tls.issuer_ref is not None or (tls.secret_ref is None and "Certificate" in observed.left)


def _is_self_signed(observed: RegistryObserved) -> bool:
    return observed.registry.spec.tls.secret_ref is None and not _is_ordered(observed)


def _usable(observed: RegistryObserved, key: Key) -> bool:
    try:
        Certificate.read(_kept(observed, key) or {})
    except (ValueError, KeyError):
        return False
    return True


def _kept(observed: RegistryObserved, key: Key) -> Values | None:
    found = observed.secrets.get(key)
    return found.values if isinstance(found, SecretData) else None
