"""Secrets, watched outside kopf: one stream for each Kubernetes namespace that is of interest.

The operator has no right to Secrets but where a namespace opted in. A 403 is therefore nothing unusual: it
is a fact (`SecretView.refused`), and the stream tries again when a RoleBinding says so. Of the Secrets in
a namespace only Roadstead's own and those that a resource names are kept.
"""

import asyncio
import base64
import binascii
import sys
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from registry_operator import names
from registry_operator.cluster import Scope, Stream
from registry_operator.cluster.resources import SECRETS
from registry_operator.cluster.stream import Sink
from registry_operator.departed import Departed
from registry_operator.errors import ClusterError, NotPermitted
from registry_operator.index import Index
from registry_operator.models import Key, is_older
from registry_operator.observed import SecretData, SecretView
from registry_operator.seen import owners

MANAGED_BY = "app.kubernetes.io/managed-by"
Keep = Callable[[dict[str, Any]], SecretData | None]
Opener = Callable[[Scope, Sink[SecretData], Keep], Stream[SecretData]]


class Changes(Protocol):
    """Who is told of changes."""

    def secret(self, key: Key, before: SecretData | None, after: SecretData | None) -> None:
        """A Secret was made, changed or removed."""

    def consent(self, namespace: str) -> None:
        """The Secrets of a namespace can be read now, or no longer, or were read for the first time."""


class Wanted(Protocol):
    """Who knows which Secrets some resource names."""

    def wants_secret(self, key: Key) -> bool: ...
    def wanted_secrets(self, namespace: str) -> frozenset[str]: ...


class Secrets:
    """The Secrets of all namespaces that are followed."""

    def __init__(self, opener: Opener, wanted: Wanted, changes: Changes) -> None:
        self._opener = opener
        self._wanted = wanted
        self._changes = changes
        self._found: dict[Key, SecretData] = {}
        self._placed: Index[SecretData, str] = Index(_owner)  # of these, by the UID of their owner
        self._streams: dict[str, tuple[Stream[SecretData], asyncio.Task[None]]] = {}
        self._known: set[str] = set()  # namespaces that answered, be it with 403
        self._refused: set[str] = set()
        self._looked: set[Key] = set()  # Secrets that are kept if they are there
        self._departed = Departed()

    @property
    def view(self) -> SecretView:
        return SecretView(MappingProxyType(self._found), frozenset(self._refused))

    @property
    def followed(self) -> frozenset[str]:
        return frozenset(self._streams)

    @property
    def restarts(self) -> int:
        return sum(stream.restarts for stream, _ in self._streams.values())

    @property
    def faults(self) -> list[str]:
        """Streams that ended or hang: nobody would hear of these Secrets any more."""
        return [
            f"no stream: {task.get_name()}"
            for one, task in self._streams.values()
            if task.done() or one.stuck
        ]

    def known(self, namespaces: Iterable[str]) -> bool:
        """Whether all these namespaces have answered: before that nothing must be concluded from absence."""
        return self._known.issuperset(namespaces)

    def unlooked(self, keys: Iterable[Key]) -> set[Key]:
        """Of these Secrets those that may be there although they are not kept: nobody named them before."""
        return {key for key in keys if key not in self._looked and key.namespace not in self._refused}

    def placed(self, uid: str) -> frozenset[Key]:
        """Secrets that carry this UID as their owner's."""
        return frozenset(self._placed.get(uid))

    def strays(self, owners: frozenset[str]) -> dict[Key, SecretData]:
        """Secrets with an owner that is none of these."""
        gone = self._placed.values() - owners
        return {key: data for uid in gone for key, data in self._placed.get(uid).items()}

    def follow(self, namespaces: Iterable[str]) -> None:
        """From now on these namespaces, and no others."""
        wanted = frozenset(namespaces)
        for gone in self.followed - wanted:
            self._streams.pop(gone)[1].cancel()
            self._known.discard(gone)
            self._refused.discard(gone)
            for key in [key for key in self._found if key.namespace == gone]:
                self._keep(key, None)
            self._looked = {key for key in self._looked if key.namespace != gone}
        for new in sorted(wanted - self.followed):
            self._start(new)

    def restart(self, namespace: str) -> None:
        """A RoleBinding of this namespace came or went: ask anew, a running watch would go on either way."""
        if namespace in self._streams:
            self._streams[namespace][1].cancel()
            self._start(namespace)

    async def close(self) -> None:
        tasks = [task for _, task in self._streams.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, namespace: str) -> None:
        stream = self._opener(Scope(namespace), Namespace(namespace, self), self.keep)
        task = asyncio.create_task(stream.run(), name=f"secrets of {namespace}")
        self._streams[namespace] = (stream, task)

    def keep(self, obj: Mapping[str, Any]) -> SecretData | None:
        """What is worth its memory: Roadstead's own Secrets, and those that a resource names."""
        metadata = obj["metadata"]
        labels = metadata.get("labels") or {}
        ours = labels.get(MANAGED_BY) == "roadstead" or names.OWNER_UID in labels
        key = Key(metadata["namespace"], metadata["name"])
        if ours or self._wanted.wants_secret(key):
            return read(obj)
        self._looked.discard(key)
        return None

    def put(self, key: Key, after: SecretData | None) -> None:
        """What was read or written otherwise. What is older than what is known changes nothing."""
        self._looked.add(key)
        before = self._found.get(key)
        known = before.resource_version if before else ""
        if after and self._departed.is_late((SECRETS.kind, key), after.resource_version, known):
            return
        self._keep(key, after)
        if before != after:
            self._changes.secret(key, before, after)

    def missed(self, key: Key) -> None:
        """It was not there when it was asked for; its stream may have brought it since."""
        self._looked.add(key)

    def remove(self, key: Key, version: str) -> None:
        """It was gone at this version, or is no longer kept; one that was written since is another."""
        before = self._found.get(key)
        if before and is_older(version, before.resource_version):
            return
        self._departed.see((SECRETS.kind, key), version)
        self._looked.discard(key)  # else the names of all that there ever was would stay
        self._keep(key, None)
        if before is not None:
            self._changes.secret(key, before, None)

    def _keep(self, key: Key, after: SecretData | None) -> None:
        self._placed.move(key, self._found.pop(key, None), after)
        if after is not None:
            self._found[key] = after

    def listed(self, namespace: str, found: Mapping[Key, SecretData], version: str) -> None:
        """All Secrets of the namespace that are of interest, at this version."""
        for key in [key for key in self._found if key.namespace == namespace and key not in found]:
            self.remove(key, version)
        for key, data in found.items():
            self.put(key, data)
        self._looked |= {Key(namespace, name) for name in self._wanted.wanted_secrets(namespace)}
        news = namespace not in self._known or namespace in self._refused
        self._known.add(namespace)
        self._refused.discard(namespace)
        if news:
            self._changes.consent(namespace)

    def refuse(self, namespace: str) -> None:
        """403: what was known is not true any more."""
        news = namespace not in self._refused
        self._known.add(namespace)
        self._refused.add(namespace)
        if news:
            self._changes.consent(namespace)


class Namespace:
    """The sink of one namespace's stream."""

    def __init__(self, name: str, secrets: Secrets) -> None:
        self._name = name
        self._secrets = secrets

    def listed(self, objects: Mapping[str, SecretData], version: str) -> None:
        found = {Key(self._name, key.partition("/")[2]): data for key, data in objects.items()}
        self._secrets.listed(self._name, found, version)

    def changed(self, key: str, obj: SecretData) -> None:
        self._secrets.put(Key(self._name, key.partition("/")[2]), obj)

    def removed(self, key: str, version: str) -> None:
        self._secrets.remove(Key(self._name, key.partition("/")[2]), version)

    def failed(self, error: ClusterError) -> None:
        if isinstance(error, NotPermitted):
            self._secrets.refuse(self._name)


def read(obj: Mapping[str, Any]) -> SecretData:
    """A Secret of the API server."""
    metadata = obj["metadata"]
    return SecretData(
        values={key: _decode(value) for key, value in (obj.get("data") or {}).items()},
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        labels=_shared(metadata.get("labels") or {}),
        annotations=_shared(metadata.get("annotations") or {}),
        owners=owners(obj),
        deleting="deletionTimestamp" in metadata,
    )


def _shared(texts: Mapping[str, str]) -> dict[str, str]:
    """Ten thousand Secrets have the same labels."""
    return {sys.intern(name): sys.intern(value) for name, value in texts.items()}


def _owner(data: SecretData) -> tuple[str, ...]:
    owner = data.labels.get(names.OWNER_UID)
    return (owner,) if owner else ()


def _decode(value: str | None) -> bytes:
    try:
        return base64.b64decode(value or "", validate=True)
    except binascii.Error:
        return b""
