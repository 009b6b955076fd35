"""What the caller may see of a cluster, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from registry_operator.models import AccessToken, Key, Namespace, Registry
from registry_operator.observed import KubernetesNamespace, RegistryObserved, SecretView, Waiting
from registry_operator.why.image import Image
from registry_runtime.contract.credential import token_id


@dataclass(frozen=True)
class Container:
    """`waiting` is what the kubelet says of it."""

    name: str
    image: str
    waiting: Waiting | None = None


@dataclass(frozen=True)
class Pod:
    """`pull_secrets` are those of its spec, `account_secrets` those of its ServiceAccount now."""

    key: Key
    containers: tuple[Container, ...]
    service_account: str = "default"
    pull_secrets: tuple[str, ...] = ()
    account_secrets: tuple[str, ...] = ()
    node_address: str = ""


@dataclass(frozen=True)
class Seen:
    """`hidden` names what the caller may not list everywhere: of that there may be more."""

    now: datetime
    registries: Mapping[Key, Registry] = field(default_factory=dict)
    namespaces: tuple[Namespace, ...] = ()
    tokens: Mapping[Key, AccessToken] = field(default_factory=dict)
    accounts: Mapping[str, KubernetesNamespace] = field(default_factory=dict)
    secrets: SecretView = field(default_factory=SecretView)
    hidden: frozenset[str] = frozenset()

    def serving(self, image: Image) -> Registry | None:
        """The Registry that has the image's host name."""
        return next((one for one in self.registries.values() if image.hostname in names_of(one)), None)

    def token(self, id_: str) -> AccessToken | None:
        return next((one for one in self.tokens.values() if token_id(one.meta.uid) == id_), None)

    def claiming(self, registry: Registry, name: str) -> tuple[Namespace, ...]:
        """The Namespaces that claim this name there."""
        return tuple(one for one in self.namespaces if one.registry == registry.key and one.spec.name == name)

    def observed(self, registry: Registry) -> RegistryObserved:
        """What is its, as a reconcile of it would have seen it."""
        return RegistryObserved(
            registry,
            self.now,
            namespaces=tuple(one for one in self.namespaces if one.registry == registry.key),
            tokens=tuple(one for one in self.tokens.values() if registry.key in one.registries),
            secrets=self.secrets,
        )


def names_of(registry: Registry) -> tuple[str, ...]:
    """Host names of both domains."""
    return (*registry.spec.public_hosts, registry.spec.private_host)


def is_bound(namespace: Namespace) -> bool:
    """As the operator found it."""
    bound = namespace.status.condition("Bound")
    return bound is not None and bound.status == "True"
