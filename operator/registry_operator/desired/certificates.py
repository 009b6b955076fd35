"""What a Registry's own CA signs, and which certificate its two domains are served with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from registry_operator import names
from registry_operator.models import Key, Registry
from registry_operator.models.base import seconds
from registry_operator.observed import RegistryObserved, SecretData
from registry_operator.tls import Authority, Renewal, Usage, signing_key

Values = Mapping[str, bytes]


@dataclass(frozen=True)
class Certificates:
    """Values of Secrets. `domains` is None where the user brings the certificate."""

    ca: Values = field(repr=False)
    internal: Values = field(repr=False)
    operator: Values = field(repr=False)
    domains: Values | None = field(repr=False)
    bundle: bytes | None  # what clients must trust; None: unknown, or a public CA
    turns: datetime | None = None  # when the CA is another, if nothing is asked


def certificates(observed: RegistryObserved) -> Certificates:
    """Kept while good, made where missing, wrong or due (`tls`)."""
    registry, now = observed.registry, observed.now
    authority = Authority.ensure(
        _kept(observed, names.ca(registry)), f"Roadstead {registry.key}", now, renewal(registry)
    )
    internal = _kept(observed, names.internal(registry))
    client = _kept(observed, names.operator_client(registry))
    server = authority.leaf(internal, (names.state_server(registry),), Usage.SERVER, now)
    domains = None
    if registry.spec.tls.secret_ref is None:
        kept = _kept(observed, names.tls(registry))
        domains = authority.leaf(kept, hosts(registry), Usage.SERVER, now)
    return Certificates(
        ca=authority.secret,
        internal={**server, names.SIGNING_KEY: signing_key((internal or {}).get(names.SIGNING_KEY))},
        operator=authority.leaf(client, (names.OPERATOR_CLIENT,), Usage.CLIENT, now),
        domains=domains,
        bundle=(domains or _kept(observed, serving(registry)) or {}).get("ca.crt"),
        turns=authority.turns,
    )


def renewal(registry: Registry) -> Renewal:
    """When the own CA is followed by another; it signs the replicas' internal certificates in any case."""
    own = registry.spec.tls.self_signed
    return Renewal(own.ca_generation, timedelta(seconds=seconds(own.ca_notice))) if own else Renewal()


def hosts(registry: Registry) -> tuple[str, ...]:
    """Every name that the certificate of the domains must have."""
    return (*registry.spec.public_hosts, registry.spec.private_host)


def serving(registry: Registry) -> Key:
    """The Secret that the domains are served with: the user's, or ours."""
    given = registry.spec.tls.secret_ref
    return Key(registry.meta.namespace, given.name) if given else names.tls(registry)


def _kept(observed: RegistryObserved, key: Key) -> Values | None:
    found = observed.secrets.get(key)
    return found.values if isinstance(found, SecretData) else None
