"""A cluster whose writes go nowhere: they are remembered, and later reads see them.

Nothing can slip through: the requests themselves refuse to be anything but a GET.
"""

from __future__ import annotations

import copy
import itertools
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from registry_operator.cluster import Cluster, Credentials, Resource, Seen, Version
from registry_operator.cluster.resources import SECRETS, resource_of
from registry_operator.errors import NotFound, WriteConflict
from registry_operator.models import Key
from registry_operator.plan.consents import Consents
from registry_operator.seen import key_of

Object = dict[str, Any]
Verb = Literal["create", "change", "delete"]
Reference = tuple[Resource, Key]


@dataclass(frozen=True)
class Write:
    """What would be written: `before` as the API server has it, `after` as it was applied or patched."""

    resource: Resource
    key: Key
    before: Object | None
    after: Object | None

    @property
    def verb(self) -> Verb:
        if self.before is None:
            return "create"
        return "delete" if self.after is None else "change"


class Rehearsal(Cluster):
    """`unread` are Kubernetes namespaces whose Secrets the caller may not read, though the operator may."""

    def __init__(self, credentials: Credentials, consents: Consents) -> None:
        super().__init__(credentials, lambda *_: None, may_write=lambda: False)
        self._consents = consents
        self._now: dict[Reference, Object | None] = {}
        self._before: dict[Reference, Object | None] = {}
        self._after: dict[Reference, Object | None] = {}
        self._versions = itertools.count(1)
        self._said: dict[Reference, list[Object]] = {}
        self.statuses: dict[Reference, Object] = {}
        self.unread: frozenset[str] = frozenset()

    @property
    def writes(self) -> tuple[Write, ...]:
        """Each object once, whatever was written on the way."""
        made = (Write(*place, self._before[place], after) for place, after in self._after.items())
        return tuple(one for one in made if one.before is not None or one.after is not None)

    def said_before(self, resource: Resource, key: Key) -> list[Object]:
        """The conditions that a resource had before its status was written."""
        return self._said.get((resource, key), [])

    def know(self, resource: Resource, obj: Object | None, key: Key) -> None:
        """An object as it is, or is to be taken to be: it need not be asked for."""
        self._now[resource, key] = obj

    def known(self, resource: Resource, key: Key) -> Object | None:
        """What is known to be there now: no request."""
        return self._now.get((resource, key))

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        found = await self._look(resource, Key(namespace or "", name))
        if found is None:
            place = resource.place(namespace, name)
            raise NotFound(f"{place}: there is none", place)
        return copy.deepcopy(found)

    async def create(self, obj: Mapping[str, Any]) -> Object:
        resource, key = _reference(obj)
        if await self._look(resource, key) is not None:
            raise WriteConflict(f"{resource.place(*key)}: it exists")
        return self._write(resource, key, obj)

    async def apply(self, obj: Mapping[str, Any], seen: Seen | None) -> Object:
        resource, key = _reference(obj)
        there = await self._look(resource, key)
        if there is not None and (seen is None or there["metadata"].get("uid") != seen.uid):
            raise WriteConflict(f"{resource.place(*key)}: it is another than the one that was seen")
        await self._consents.need("patch", resource, key)
        return self._write(resource, key, obj)

    async def hold(self, obj: Mapping[str, Any], seen: Seen) -> Object:
        """No change: the fields are as they are."""
        _ = seen
        resource, key = _reference(obj)
        return await self.get(resource, *key)

    async def apply_status(self, obj: Mapping[str, Any], seen: Seen) -> Object:
        """No change of an object: what the operator would say of it, as far as it can be known now."""
        _ = seen
        resource, key = _reference(obj)
        found = await self.get(resource, *key)
        self._said.setdefault((resource, key), (found.get("status") or {}).get("conditions") or [])
        self.statuses[resource, key] = dict(obj["status"])
        self._now[resource, key] = {**found, "status": obj["status"]}
        return {**found, "status": obj["status"]}

    async def merge(
        self, resource: Resource, namespace: str | None, name: str, patch: Object, seen: Seen
    ) -> Object:
        _ = seen  # what was read is what is there
        found = await self.get(resource, namespace, name)
        return self._write(resource, Key(namespace or "", name), merge(found, patch))

    async def replace(self, obj: Mapping[str, Any]) -> Object:
        return await self.apply(obj, Version.of(obj))

    async def delete(self, resource: Resource, namespace: str | None, name: str, seen: Seen) -> None:
        key = Key(namespace or "", name)
        found = await self._look(resource, key)
        if found is not None and found["metadata"].get("uid") == seen.uid:
            await self._consents.need("delete", resource, key)
            self.gone(resource, key)

    def gone(self, resource: Resource, key: Key) -> None:
        """Deleted, be it by the garbage collector."""
        place = resource, key
        self._before.setdefault(place, self._now.get(place))
        self._after[place] = self._now[place] = None

    async def _look(self, resource: Resource, key: Key) -> Object | None:
        place = resource, key
        if place not in self._now:
            if resource is SECRETS and key.namespace in self.unread:
                return None
            try:
                self._now[place] = await super().get(resource, key.namespace or None, key.name)
            except NotFound:
                self._now[place] = None
        return self._now[place]

    def _write(self, resource: Resource, key: Key, obj: Mapping[str, Any]) -> Object:
        """As the API server would answer: with a UID, a new version, and what others wrote."""
        place = resource, key
        there = self._now.get(place)
        if resource is SECRETS and there and "data" not in obj:
            obj = {**obj, "data": there.get("data") or {}}  # somebody else's to fill
        self._before.setdefault(place, there)
        known = (there or {}).get("metadata") or {}
        metadata = {
            **obj["metadata"],
            "uid": known.get("uid") or str(uuid.uuid5(uuid.NAMESPACE_URL, resource.place(*key))),
            "resourceVersion": f"rehearsed-{next(self._versions)}",
            "managedFields": known.get("managedFields") or [],
        }
        status = {"status": there["status"]} if there and "status" in there else {}
        self._after[place] = dict(obj)
        self._now[place] = {**obj, "metadata": metadata, **status}
        return copy.deepcopy({**obj, "metadata": metadata, **status})


def merge(have: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396 §2)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(have) if isinstance(have, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def _reference(obj: Mapping[str, Any]) -> Reference:
    return resource_of(obj), key_of(obj)
