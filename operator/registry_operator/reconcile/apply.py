"""Children: left alone where they are as they should be, applied where ours, refused where not ours."""

import asyncio
import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from registry_operator import names, seen
from registry_operator.cache import Child as Seen
from registry_operator.cluster import Seen as Known
from registry_operator.cluster import Version
from registry_operator.cluster.resources import KNOWN, SECRETS, resource_of
from registry_operator.desired.rendered import Child, fingerprint, identity
from registry_operator.errors import NotFound, WriteConflict
from registry_operator.models import AccessToken, Key, Registry
from registry_operator.observed import Conflict, SecretData
from registry_operator.reconcile import scaling
from registry_operator.reconcile.context import Context
from registry_operator.reconcile.drift import covers
from registry_operator.secrets import read

Owner = Registry | AccessToken
KINDS = {resource.kind: resource for resource in KNOWN.values() if resource.group != "roadstead.dev"}


async def apply_all(at: Context, owner: Owner, children: Iterable[Child]) -> list[Conflict]:
    """All at a time. The first error is raised when every one has ended, so that none goes on unseen."""
    results = await asyncio.gather(*(apply(at, owner, child) for child in children), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if isinstance(result, Conflict)]


async def apply(at: Context, owner: Owner, child: Child) -> Conflict | None:
    """Applies a child over what was seen of it, unless that is as it should be. Raises ClusterError."""
    if child["kind"] == SECRETS.kind:
        return await _apply_secret(at, owner, child)
    kind, key = identity(child)
    there = at.cache.children.get((kind, key))
    if there is not None and owner.meta.uid not in there.owners and not adopted(there.content, owner):
        return Conflict(kind, key)
    if there is not None and is_up_to_date(at, there, child):
        return None
    try:
        await _write(at, owner, child, there)
    except WriteConflict:  # somebody wrote it since, or it is there and has no label of ours: look
        return await _apply_over(at, owner, child)
    return None


async def _apply_over(at: Context, owner: Owner, child: Child) -> Conflict | None:
    """Once more, over what is there now. Raises WriteConflict where that changes all the time."""
    kind, key = identity(child)
    try:
        obj = await at.cluster.get(resource_of(child), *key)
    except NotFound:
        await _write(at, owner, child, None)
        return None
    if not is_ours(obj, owner):
        return Conflict(kind, key)
    there = seen.child(obj)
    if there is not None and is_up_to_date(at, there, child):
        at.cache.see_child(kind, key, there)
    else:
        await _write(at, owner, child, there, Version.of(obj))
    return None


def is_in_place(at: Context, owner: Owner, child: Child) -> bool:
    """Whether nothing would be written, by what is seen: no request."""
    kind, key = identity(child)
    if kind == SECRETS.kind:
        secret = at.secrets.view.get(key)
        return (
            isinstance(secret, SecretData)
            and not secret.deleting
            and owns(owner, secret)
            and is_same(secret, child)
        )
    there = at.cache.children.get((kind, key))
    return there is not None and owner.meta.uid in there.owners and is_up_to_date(at, there, child)


def is_ours(obj: Mapping[str, Any], owner: Owner) -> bool:
    return owner.meta.uid in seen.owners(obj) or adopted(seen.content(obj), owner)


def adopted(content: bytes, owner: Owner) -> bool:
    """Whether the object's annotation gives it to the Registry."""
    annotations = json.loads(content)["metadata"]["annotations"] or {}
    return isinstance(owner, Registry) and annotations.get(names.ADOPT) == owner.meta.name


def is_up_to_date(at: Context, there: Seen, child: Child) -> bool:
    """The same fingerprint, and nobody changed it since: or it has the form that our own apply got, too."""
    if there.rendered != fingerprint(child):
        return False
    have = json.loads(there.content)
    return covers(have, bare(child)) or at.normal.get((there.kind, there.key)) == there.content


def bare(child: Child) -> dict[str, Any]:
    """What of a child is compared: names are equal anyhow."""
    metadata = {name: child["metadata"].get(name) for name in ("labels", "annotations", "ownerReferences")}
    return {**child, "metadata": metadata}


async def _write(
    at: Context, owner: Owner, child: Child, there: Seen | None, unlabelled: Version | None = None
) -> None:
    over: Known | None = there or unlabelled
    if scaling.leaves_replicas(child):
        child, over = await scaling.hand_over(at, owner, child, there, over)
    applied = seen.child(await at.cluster.apply(child, over))
    if applied is None:
        return
    if not covers(json.loads(applied.content), bare(child)):
        at.normal[applied.kind, applied.key] = applied.content
    at.cache.see_child(applied.kind, applied.key, applied)


async def _apply_secret(at: Context, owner: Owner, child: Child) -> Conflict | None:
    """What another wrote in the same moment is read, never overwritten: it may be a password in use."""
    kind, key = identity(child)
    found = at.secrets.view.get(key)
    there = found if isinstance(found, SecretData) else None
    if there is not None:
        if there.deleting:
            raise WriteConflict(f"Secret {key}: it is being deleted")
        if not owns(owner, there):
            return Conflict(kind, key)
        if is_same(there, child):
            return None
    try:
        at.secrets.put(key, read(await at.cluster.apply(child, there)))
    except WriteConflict:
        if there is None:
            at.secrets.put(key, read(await at.cluster.get(SECRETS, *key)))
        raise
    return None


def owns(owner: Owner, secret: SecretData) -> bool:
    """By its owner reference, or by its label in a namespace where no reference is allowed."""
    return owner.meta.uid in (*secret.owners, secret.labels.get(names.OWNER_UID))


def is_same(there: SecretData, child: Child) -> bool:
    """Whether the Secret is what is rendered; the values decide, not the annotation alone."""
    metadata = child["metadata"]
    return (
        covers(there.annotations, metadata.get("annotations") or {})
        and covers(there.labels, metadata.get("labels") or {})
        and all(there.values.get(name) == base64.b64decode(value) for name, value in child["data"].items())
    )


async def remove(at: Context, kind: str, key: Key, owner: Owner) -> None:
    """Deletes a child that is wanted no longer, if it is ours. Raises WriteConflict where it changed."""
    if kind == SECRETS.kind:
        secret = at.secrets.view.get(key)
        if isinstance(secret, SecretData) and owns(owner, secret):
            await at.cluster.delete(SECRETS, *key, secret)
            at.secrets.put(key, None)
        return
    there = at.cache.children.get((kind, key))
    if there is not None and owner.meta.uid in there.owners:
        await at.cluster.delete(KINDS[kind], *key, there)
        at.cache.see_child(kind, key, None)
