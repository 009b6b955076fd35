"""The change itself, before any reconcile: what is declared, and what would be gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from registry_operator.cluster import Resource
from registry_operator.cluster.resources import (
    ACCESS_TOKENS,
    CLAIMS,
    NAMESPACES,
    REGISTRIES,
    ROLE_BINDINGS,
    SECRETS,
)
from registry_operator.errors import ClusterError, NotFound
from registry_operator.models import Key
from registry_operator.models.base import format_time
from registry_operator.plan.changes import differs
from registry_operator.plan.edits import DryRuns
from registry_operator.plan.manifests import OURS, Declared, Manifests
from registry_operator.plan.outcome import Refusal
from registry_operator.plan.primed import Primed
from registry_operator.plan.rehearsal import Reference, Rehearsal, Write, merge
from registry_operator.queue import Work

Object = dict[str, Any]
PLANNED = "planned"  # resourceVersion of what is not stored


@dataclass(frozen=True)
class Asked:
    """`everything`: what would this version of the operator do with all that there is.

    `prune`: what is in the Kubernetes namespaces of the files, and in no file, is deleted. `manager` is who
    would apply, "" for whoever did last.
    """

    manifests: Manifests = field(default_factory=Manifests)
    deleted: tuple[Reference, ...] = ()
    everything: bool = False
    prune: bool = False
    manager: str = ""


@dataclass
class Intent:
    """What is asked for, taken into the cache; `works` is what it means for the reconciles."""

    primed: Primed
    asking: DryRuns
    asked: Asked
    now: datetime
    works: set[Work] = field(default_factory=set)
    edits: list[Write] = field(default_factory=list)
    gone: list[Write] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    async def take(self) -> None:
        """Accounts, consents and Secrets first: the others may need them."""
        asked = self.asked
        for one in asked.manifests.of(NAMESPACES, ROLE_BINDINGS, SECRETS):
            self.works |= self._beside(one)
        for one in asked.manifests.of(*OURS):
            await self._edit(one)
        for resource, key in (*asked.deleted, *(self._pruned() if asked.prune else ())):
            await self._delete(resource, key)
        if asked.manifests.others:
            self.notes.append(f"{asked.manifests.others} resources of other kinds: no part of this plan")

    def _beside(self, one: Declared) -> set[Work]:
        """Taken as it stands in the file, over what is there."""
        there = self.primed.cluster.known(one.resource, one.key)
        obj = dict(one.obj)
        if one.resource is SECRETS:
            if there is not None:
                return set()  # what is in it now decides: who keeps it may be a controller
            texts = dict.fromkeys(obj.pop("stringData", None) or {}, "")
            obj["data"] = {**(obj.get("data") or {}), **texts}
        return self.primed.see(one.resource, merge(there, obj) if there else _stored(obj, self.now))

    async def _edit(self, one: Declared) -> None:
        """As the API server would store it, and what that means for the others."""
        place = one.resource.place(*one.key)
        there = await _there(self.primed.cluster, one.resource, one.key)
        try:
            obj = await self.asking.declared(one.resource, one.key, one.obj, there, self.asked.manager)
        except NotFound:
            if one.key.namespace not in self.primed.cache.accounts:
                self.refused.append(Refusal(place, f"there is no Kubernetes namespace {one.key.namespace}"))
                return
            self.notes.append(f"{place}: its Kubernetes namespace is not there yet: CEL was not asked")
            obj = _stored(one.obj, self.now)
        except ClusterError as error:
            self.refused.append(Refusal(place, error.message))
            return
        if there is not None and not differs(there, obj):
            return
        metadata = {**obj["metadata"], "resourceVersion": PLANNED}
        self.works |= self.primed.see(one.resource, {**obj, "metadata": metadata})
        self.edits.append(Write(one.resource, one.key, there, obj))

    async def _delete(self, resource: Resource, key: Key) -> None:
        place = resource.place(*key)
        there = await _there(self.primed.cluster, resource, key)
        if there is None:
            self.refused.append(Refusal(place, "there is none that could be deleted"))
            return
        try:
            await self.asking.deleted(resource, key)
        except ClusterError as error:
            self.refused.append(Refusal(place, error.message))
            return
        self.works |= self.primed.gone(resource, key)
        self.gone.append(Write(resource, key, there, None))

    def _pruned(self) -> tuple[Reference, ...]:
        """What nobody declares any more, in the namespaces that the files speak of."""
        declared = {(one.resource, one.key) for one in self.asked.manifests.declared}
        cache = self.primed.cache
        tables: Mapping[Resource, Mapping[Key, object]] = {
            REGISTRIES: cache.registries.objects,
            CLAIMS: cache.claims.objects,
            ACCESS_TOKENS: cache.tokens.objects,
        }
        return tuple(
            (resource, key)
            for resource, objects in tables.items()
            for key in sorted(objects)
            if key.namespace in self.asked.manifests.namespaces and (resource, key) not in declared
        )


async def _there(cluster: Rehearsal, resource: Resource, key: Key) -> Object | None:
    try:
        return await cluster.get(resource, *key)
    except NotFound:
        return None


def _stored(obj: Object, now: datetime) -> Object:
    """With what the API server would add; the UID is none that it would give."""
    metadata = obj["metadata"]
    place = f"{obj['kind']}/{metadata.get('namespace', '')}/{metadata['name']}"
    made = {
        "uid": f"{PLANNED}-{place}",
        "generation": 1,
        "creationTimestamp": format_time(now),
        "resourceVersion": PLANNED,
    }
    return {**obj, "metadata": {**metadata, **made}}
