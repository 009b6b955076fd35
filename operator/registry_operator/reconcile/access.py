"""The policy of a Registry: one writer, in the order claims, then rights."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from registry_operator import names, seen
from registry_operator.claims import allowed
from registry_operator.cluster import Version
from registry_operator.cluster.resources import CONFIG_MAPS
from registry_operator.desired.draft import Draft, Drafts
from registry_operator.errors import NotFound
from registry_operator.models import Key, Registry
from registry_operator.observed import Conflict, is_small
from registry_operator.queue import Kind, Work
from registry_operator.reconcile.apply import apply, apply_all, is_in_place
from registry_operator.reconcile.context import Context

SMALL_KEPT = 16  # Registries with a small policy, of which the last drafts are kept


@dataclass(frozen=True)
class Written:
    """What was wanted, and what of it somebody else's objects are in the way of."""

    draft: Draft
    conflicts: list[Conflict] = field(default_factory=list)


class Access:
    """Writes claims and policies; both the policy's own work and a Registry's reconcile come through here."""

    def __init__(self, at: Context) -> None:
        self._at = at
        self._locks: dict[Key, asyncio.Lock] = {}
        self._drafts: dict[Key, Drafts] = {}
        self._last: dict[Key, Written] = {}
        self._revisions: dict[Key, str] = {}  # of what was written last
        self._small: OrderedDict[Key, None] = OrderedDict()  # of these drafts, the latest last

    async def reconcile(self, key: Key) -> None:
        """Raises ClusterError."""
        if key not in self._at.cache.registries.objects:
            self._forget(key)
            self._locks.pop(key, None)
            self._revisions.pop(key, None)
            self._at.propagations.forget(key)
            return
        async with self._lock(key):
            await self._write(key)

    async def written(self, key: Key) -> Written | None:
        """What was written last, where it is still so and no change of access waits; else it is written now.

        None where nothing may be concluded yet, or any more. Raises ClusterError and RenderFailed.
        """
        async with self._lock(key):
            return self._still_so(key) or await self._write(key)

    async def _write(self, key: Key) -> Written | None:
        """Claims first: the policy must never promise a name that a restart could give to another."""
        self._last.pop(key, None)
        registry = self._at.cache.registries.objects.get(key)
        if registry is None or registry.meta.deleting or not self._at.is_open(key.namespace):
            return None
        if not self.is_known(key):
            return None
        await self._find_claims(registry)
        observed = self._at.observe_registry(registry)
        draft = self._drafts.setdefault(key, Drafts()).draft(observed)
        try:
            if registry.meta.namespace in observed.secrets.refused:
                return Written(draft)
            return await self._apply(registry, draft)
        finally:
            self._keep_few(key, draft)

    async def _apply(self, registry: Registry, draft: Draft) -> Written:
        key = registry.key
        claims, *policies = draft.children
        self._at.propagations.write(key, draft.revision)
        conflict = await apply(self._at, registry, claims)
        others = await apply_all(self._at, registry, policies)
        before = self._revisions.get(key)
        if before != draft.revision:
            if before is not None:  # what was in force before this operator's first look is judged by that
                self._at.replicas.attend(key)
            self._revisions[key] = draft.revision
            if key not in self._at.cache.propagations:  # its replicas are not followed before its first look
                self._at.queue.add(Work(Kind.REGISTRY, *key), patient=True)
        written = Written(draft, [*([conflict] if conflict else []), *others])
        if not written.conflicts:
            self._last[key] = written
        return written

    def _keep_few(self, key: Key, draft: Draft) -> None:
        """Of small Registries only those that were drafted last are remembered."""
        self._small.pop(key, None)
        if is_small(draft.policy):
            self._small[key] = None
            while len(self._small) > SMALL_KEPT:
                self._forget(next(iter(self._small)))

    def _forget(self, key: Key) -> None:
        self._small.pop(key, None)
        self._drafts.pop(key, None)
        self._last.pop(key, None)

    def _still_so(self, key: Key) -> Written | None:
        """With encryption a policy also depends on what replicas say, which is no change of access."""
        last, registry = self._last.get(key), self._at.cache.registries.objects.get(key)
        if last is None or registry is None or registry.spec.encryption is not None:
            return None
        if self._at.queue.awaits(Work(Kind.POLICY, *key)):
            return None
        return last if all(is_in_place(self._at, registry, child) for child in last.draft.children) else None

    def _lock(self, key: Key) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    async def _find_claims(self, registry: Registry) -> None:
        """Claims that are there but not seen, because somebody took their labels, get these back.

        Rendered from what is seen, the names of Namespaces that are gone would be anybody's.
        """
        kind, key = CONFIG_MAPS.kind, names.claims(registry)
        if (kind, key) in self._at.cache.children:
            return
        try:
            there = await self._at.cluster.get(CONFIG_MAPS, *key)
        except NotFound:
            return
        if registry.meta.uid in seen.owners(there):
            labels = {"metadata": {"labels": names.labels(registry, "policy")}}
            mended = seen.child(await self._at.cluster.merge(CONFIG_MAPS, *key, labels, Version.of(there)))
            self._at.cache.see_child(kind, key, mended)

    def is_known(self, key: Key) -> bool:
        """A policy that is rendered before all passwords have been read would lock their users out.

        Those whom the Registry does not let in are not waited for: theirs are no part of it.
        """
        accounts, registry = self._at.cache.accounts, self._at.cache.registries.objects.get(key)
        naming = {token.namespace for token in self._at.cache.tokens.naming(key)}
        if registry is not None:
            naming = {one for one in naming if allowed(registry, accounts.get(one))}
        return self._at.secrets.known({key.namespace, *naming} & accounts.keys())
