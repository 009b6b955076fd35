"""What every reconcile has in its hands."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from registry_operator import names
from registry_operator.cache import Cache
from registry_operator.cluster import Cluster
from registry_operator.cluster.resources import SECRETS
from registry_operator.desired.access_token import targets
from registry_operator.errors import NotFound
from registry_operator.events import Recorder
from registry_operator.models import AccessToken, Key, Place, Registry
from registry_operator.observed import (
    Conflict,
    Endpoint,
    RegistryObserved,
    SecretData,
    TokenActivity,
    TokenObserved,
)
from registry_operator.propagations import Propagations
from registry_operator.queue import Kind, Queue
from registry_operator.reconcile.fleet import Fleet
from registry_operator.reconcile.repairs import Repairs
from registry_operator.relations import bundle_of
from registry_operator.secrets import Secrets, read
from registry_operator.settings import Settings


class Follower(Protocol):
    """Who asks the replicas: `Replicas`, or in a plan nobody."""

    def follow(
        self, registry: Key, server: str, secret: SecretData | None, endpoints: Iterable[Endpoint]
    ) -> None: ...

    def attend(self, registry: Key) -> None: ...


@dataclass
class Context:
    """`now` is the wall clock. `normal` are children that the API server stores in another form than ours;

    `mounted` are the revisions of mounted Secrets that pods were last told of.
    """

    cluster: Cluster
    cache: Cache
    secrets: Secrets
    replicas: Follower
    queue: Queue
    recorder: Recorder
    settings: Settings
    now: Callable[[], datetime]
    normal: dict[Place, bytes] = field(default_factory=dict)
    mounted: dict[Key, str] = field(default_factory=dict)
    propagations: Propagations = field(default_factory=lambda: Propagations(lambda _: None))
    fleet: Fleet = field(default_factory=Fleet)
    beginning: asyncio.Lock = field(default_factory=asyncio.Lock)  # of upgrades
    repairs: Repairs = field(default_factory=Repairs)

    def observe_registry(
        self,
        registry: Registry,
        conflicts: Iterable[Conflict] = (),
        left: Iterable[str] = (),
    ) -> RegistryObserved:
        """From what is cached, and what came of the writes so far: no request."""
        cache, key = self.cache, registry.key
        claims = cache.children.get(("ConfigMap", names.claims(registry)))
        deployment = cache.children.get(("Deployment", key))
        autoscaler = cache.children.get(("HorizontalPodAutoscaler", key))
        bundle = bundle_of(registry)
        endpoints = self.endpoints(registry)
        return RegistryObserved(
            registry=registry,
            now=self.now(),
            namespaces=cache.claims.of(key),
            tokens=cache.tokens.of(key),
            kubernetes_namespaces=cache.accounts,
            secrets=self.secrets.view,
            claims=claims.data if claims else {},
            ca_bundle=cache.bundles.get(bundle) if bundle else None,
            rollout=deployment.rollout if deployment else None,
            autoscaler=autoscaler.autoscaler if autoscaler else None,
            endpoints=endpoints,
            replicas=dict(cache.replicas.get(key, {})),
            running=cache.running.get(key),
            waiting={pod.name: one.waiting for pod, one in cache.pods.of(key).items() if one.waiting},
            conflicts=tuple(conflicts),
            reported=cache.reported(registry),
            unserved=cache.unserved,
            left=frozenset(left),
            unreadable=tuple(one for work, one in cache.unreadable.items() if work.kind is not Kind.REGISTRY),
        )

    def observe_token(self, token: AccessToken) -> TokenObserved:
        """From what is cached: no request."""
        cache = self.cache
        registries = {key: cache.registries.objects.get(key) for key in token.registries}
        return TokenObserved(
            token=token,
            now=self.now(),
            registries={key: one for key, one in registries.items() if one is not None},
            propagations={
                key: cache.propagations[key] for key in token.registries if key in cache.propagations
            },
            settled=frozenset(key for key in token.registries if cache.is_settled(key, token.key)),
            kubernetes_namespaces=cache.accounts,
            secrets=self.secrets.view,
            placed=self.secrets.placed(token.meta.uid),
            activity=cache.activity.get(token.meta.uid, TokenActivity()),
            consents=cache.consents,
            service_accounts=cache.service_accounts.objects,
            listing=cache.service_accounts.listing(token.meta.uid),
        )

    def endpoints(self, registry: Registry) -> tuple[Endpoint, ...]:
        """The pods behind the public Service; one may stand in two slices for a moment."""
        found: dict[str, Endpoint] = {}
        for one in self.cache.slices.of(registry.key).values():
            if one.service == registry.meta.name:
                found |= {endpoint.pod: endpoint for endpoint in one.endpoints}
        return tuple(found[pod] for pod in sorted(found))

    def client_secret(self, registry: Registry) -> SecretData | None:
        found = self.secrets.view.get(names.operator_client(registry))
        return found if isinstance(found, SecretData) else None

    def is_open(self, namespace: str) -> bool:
        """Whether the Kubernetes namespace is there and stays: in one that goes away nothing can be made."""
        account = self.cache.accounts.get(namespace)
        return account is not None and not account.terminating

    async def look(self, namespace: str, wanted: Iterable[str]) -> None:
        """Reads Secrets that a resource names only now; from here on their stream keeps them."""
        for key in self.secrets.unlooked(Key(namespace, name) for name in wanted):
            try:
                self.secrets.put(key, read(await self.cluster.get(SECRETS, *key)))
            except NotFound:
                self.secrets.missed(key)

    def known(self, token: AccessToken) -> bool:
        """Whether the Secrets of the token's namespace and of its targets have been read, or refused."""
        wanted = {token.meta.namespace, *(key.namespace for key in targets(self.observe_token(token)))}
        return self.secrets.known(wanted & self.cache.accounts.keys())
