"""The cache as the operator would have it, from what the caller may read, and all that a reconcile needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from registry_operator import seen
from registry_operator.cache import Cache
from registry_operator.cluster import Resource, Scope, Stream
from registry_operator.cluster.resources import (
    ACCESS_TOKENS,
    CLAIMS,
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    NAMESPACES,
    PODS,
    REGISTRIES,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from registry_operator.concerns import Concerns
from registry_operator.errors import InvalidResource, NotFound, NotPermitted, OperatorError, WriteConflict
from registry_operator.events import Recorder
from registry_operator.models import AccessToken, Key, Namespace, Registry
from registry_operator.observed import Absence, Consent, Endpoint, SecretData, Unreadable
from registry_operator.plan.consents import Consents
from registry_operator.plan.rehearsal import Rehearsal
from registry_operator.queue import Kind, Queue, Work
from registry_operator.reconcile.access import Access
from registry_operator.reconcile.context import Context
from registry_operator.reconcile.worker import dispatch
from registry_operator.relations import bundle_of
from registry_operator.secrets import Secrets, read
from registry_operator.settings import Settings
from registry_operator.watches import CHILDREN, OPTIONAL, OURS
from registry_runtime.contract.credential import Password, token_id

Object = dict[str, Any]
SOON = 1.0  # seconds: what a reconcile puts off for a moment is done; reminders of later are not
RUNS = 12  # of one piece of work, at most: what changes for ever would be a fault of the operator's


class Nobody:
    """Asks no replica: what these would answer is no part of a plan."""

    def follow(
        self, registry: Key, server: str, secret: SecretData | None, endpoints: Iterable[Endpoint]
    ) -> None:
        """Nothing."""

    def attend(self, registry: Key) -> None:
        """A plan waits for nobody."""


class Primed:
    """`at` and `access` are what the reconciles get. While it is muted nothing that is seen becomes work."""

    def __init__(self, rehearsal: Rehearsal, consents: Consents, settings: Settings, now: datetime) -> None:
        self._consents = consents
        self._time = 0.0
        self._muted = True
        self._read: set[str] = set()
        self.cluster = rehearsal
        self.cache = Cache()
        self.queue = Queue(1, lambda: self._time)
        self._concerns = Concerns(self.cache)
        self.secrets = Secrets(_unopened, self._concerns, self)
        self.at = Context(
            cluster=rehearsal,
            cache=self.cache,
            secrets=self.secrets,
            replicas=Nobody(),
            queue=self.queue,
            recorder=Recorder(rehearsal, "plan"),
            settings=settings,
            now=lambda: now,
        )
        self.access = Access(self.at)
        self.runs: Counter[Work] = Counter()
        self.failures: dict[Work, OperatorError] = {}
        self.unread: set[str] = set()  # kinds that the caller may not read, though the operator may

    async def prime(self) -> None:
        """One list of each kind. Raises NotPermitted with what the caller may not read."""
        for resource in (NAMESPACES, REGISTRIES, CLAIMS, ACCESS_TOKENS):
            for obj in await self._all(resource):
                self.see(resource, obj)
        for resource in CHILDREN:
            for obj in await self._all(resource, OURS):
                key = seen.key_of(obj)
                self.cluster.know(resource, obj, key)
                self.cache.see_child(resource.kind, key, seen.child(obj))
        for resource in OPTIONAL:
            await self._prime_optional(resource)
        for obj in await self._all(PODS, OURS):
            self.cache.see_pod(seen.key_of(obj), seen.pod(obj))
        for obj in await self._all(ENDPOINT_SLICES, OURS):
            self.cache.see_slice(seen.key_of(obj), seen.endpoint_slice(obj))
        for resource in (ROLE_BINDINGS, SERVICE_ACCOUNTS):
            for obj in await self._all(resource):
                self.see(resource, obj)

    async def _prime_optional(self, resource: Resource) -> None:
        """Of a kind that the cluster may lack, or that the caller may not read."""
        try:
            found = await self._all(resource, OURS)
        except NotFound:
            self.cache.see_api(resource.kind, Absence.MISSING)
            return
        except NotPermitted:
            self.unread.add(resource.kind)
            self.cache.see_api(resource.kind, Absence.NOT_PERMITTED)
            return
        for obj in found:
            key = seen.key_of(obj)
            self.cluster.know(resource, obj, key)
            self.cache.see_child(resource.kind, key, seen.child(obj))

    def see(self, resource: Resource, obj: Object) -> set[Work]:
        """An object as it is, or will be: from now on it is there. Returns the work that this means."""
        key = seen.key_of(obj)
        self.cluster.know(resource, obj, key)
        if resource is NAMESPACES:
            return self.cache.see_account(key.name, seen.account(obj))
        if resource is ROLE_BINDINGS:
            self._consents.see(key, obj)
            return self._see_consent(key, seen.consent(obj))
        if resource is SERVICE_ACCOUNTS:
            return self.cache.see_service_account(key, seen.service_account(obj))
        if resource is SECRETS:
            self.secrets.put(key, read(obj))
            return set()
        try:
            return self._see_own(resource, key, obj)
        except InvalidResource as error:
            return self.cache.see_unreadable(Work(Kind(resource.kind), *key), Unreadable(obj, error))

    def _see_consent(self, key: Key, given: Consent | None) -> set[Work]:
        if given is not None and given.beside:
            return self._concerns.of_consent(key.namespace)
        before = self.cache.see_consent(key, given)
        return self._concerns.of_consent(key.namespace) if before != given else set()

    def gone(self, resource: Resource, key: Key) -> set[Work]:
        """A resource of Roadstead's is not there any more."""
        self.cluster.gone(resource, key)
        if resource is REGISTRIES:
            return self.cache.see_registry(key, None)
        return self.cache.see_claim(key, None) if resource is CLAIMS else self.cache.see_token(key, None)

    async def read_secrets(self) -> None:
        """Of the namespaces of interest that were not read yet, as far as operator and caller may."""
        for namespace in sorted(self._concerns.namespaces() - self._read):
            if not await self._consents.given("list", SECRETS, namespace):
                self.secrets.refuse(namespace)  # for now: a file may have the consent
                continue
            self._read.add(namespace)
            self.secrets.listed(namespace, await self._secrets_of(namespace), "")

    async def settle(self, works: Iterable[Work]) -> None:
        """Every reconcile that this work brings about, until nothing is left to do."""
        self._muted = False
        for work in sorted(works):
            self.queue.add(work)
        for self._time in (0.0, SOON):
            while (due := self.queue.poll()) is not None:
                self.runs[due] += 1
                if self.runs[due] <= RUNS:
                    await self._reconcile(due)
                self.queue.done(due)

    async def _reconcile(self, work: Work) -> None:
        self.failures.pop(work, None)
        try:
            registry = self.cache.registries.objects.get(Key(work.namespace, work.name))
            if work.kind in {Kind.REGISTRY, Kind.POLICY} and registry is not None:
                await self._look_at_bundle(registry)
            await dispatch(self.at, self.access, work)
        except WriteConflict:
            self.queue.add(work)
        except OperatorError as error:
            self.failures[work] = error

    def secret(self, key: Key, before: SecretData | None, after: SecretData | None) -> None:
        """A Secret changed, as `Secrets` tells it."""
        self._add(self._concerns.of_secret(key, (before, after)) if not self._muted else set())

    def consent(self, namespace: str) -> None:
        """The Secrets of a namespace can be read, or not."""
        self._add(self._concerns.of_consent(namespace) if not self._muted else set())

    def _add(self, works: set[Work]) -> None:
        for work in works:
            self.queue.add(work)

    def _see_own(self, resource: Resource, key: Key, obj: Object) -> set[Work]:
        if resource is REGISTRIES:
            return self.cache.see_registry(key, Registry.parse(obj))
        if resource is CLAIMS:
            return self.cache.see_claim(key, Namespace.parse(obj))
        return self.cache.see_token(key, AccessToken.parse(obj))

    async def _all(self, resource: Resource, labels: str = "") -> list[Object]:
        scope = Scope(labels=labels)
        return [obj async for page in self.cluster.pages(resource, scope) for obj in page.items]

    async def _secrets_of(self, namespace: str) -> dict[Key, SecretData]:
        found: dict[Key, SecretData] = {}
        try:
            async for page in self.cluster.pages(SECRETS, Scope(namespace)):
                for obj in page.items:
                    data = self.secrets.keep(obj)
                    if data is not None:
                        found[seen.key_of(obj)] = data
                        self.cluster.know(SECRETS, obj, seen.key_of(obj))
        except NotPermitted:
            self.cluster.unread |= {namespace}
            return {token.secret: _unread(token) for token in self.cache.tokens.within(namespace)}
        return found

    async def _look_at_bundle(self, registry: Registry) -> None:
        key = bundle_of(registry)
        if key is None or key in self.cache.bundles:
            return
        try:
            found = await self.cluster.get(CONFIG_MAPS, *key)
        except NotFound:
            self.cache.see_bundle(key, Absence.MISSING)
        else:
            self.cache.see_bundle(key, seen.bundle(found))


def _unopened(*_: object) -> Stream[SecretData]:
    raise AssertionError("a plan follows nothing")


def _unread(token: AccessToken) -> SecretData:
    """In the place of a Secret that may not be read: the token has some password."""
    password = Password.generate(token_id(token.meta.uid))
    return SecretData({"password": password.text.encode()}, owners=(token.meta.uid,))
