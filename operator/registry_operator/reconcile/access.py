"""The policy of a Registry: one writer, in the order claims, then rights."""

import asyncio

from registry_operator import names, seen
from registry_operator.cluster.resources import CONFIG_MAPS
from registry_operator.desired.registry import render_access
from registry_operator.errors import NotFound
from registry_operator.models import Key, Registry
from registry_operator.observed import Conflict
from registry_operator.reconcile.apply import apply, apply_all
from registry_operator.reconcile.context import Context


class Access:
    """Writes claims and policies; both the policy's own work and a Registry's reconcile come through here."""

    def __init__(self, at: Context) -> None:
        self._at = at
        self._locks: dict[Key, asyncio.Lock] = {}

    async def reconcile(self, key: Key) -> None:
        """Raises ClusterError."""
        if key not in self._at.cache.registries.objects:
            self._locks.pop(key, None)
            return
        await self.write(key)

    async def write(self, key: Key) -> list[Conflict]:
        """Claims first: the policy must never promise a name that a restart could give to another."""
        async with self._locks.setdefault(key, asyncio.Lock()):
            registry = self._at.cache.registries.objects.get(key)
            if registry is None or registry.meta.deleting or not self._at.is_open(key.namespace):
                return []
            if not self._known(key):
                return []
            await self._find_claims(registry)
            claims, *policies = render_access(self._at.observe_registry(registry)) or (None,)
            if claims is None:
                return []
            conflict = await apply(self._at, registry, claims)
            return ([conflict] if conflict else []) + await apply_all(self._at, registry, policies)

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
            mended = seen.child(await self._at.cluster.merge(CONFIG_MAPS, *key, labels))
            self._at.cache.see_child(kind, key, mended)

    def _known(self, key: Key) -> bool:
        """A policy that is rendered before all passwords have been read would lock their users out."""
        namespaces = {key.namespace, *(token.meta.namespace for token in self._at.cache.tokens.of(key))}
        return self._at.secrets.known(namespaces & self._at.cache.accounts.keys())
