"""Children: left alone where they are as they should be, applied where ours, refused where not ours."""

import base64
import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from registry_operator import names, seen
from registry_operator.children import Child as Seen
from registry_operator.cluster import Resource, Version
from registry_operator.cluster import Seen as Known
from registry_operator.cluster.resources import KNOWN, SECRETS, resource_of
from registry_operator.desired import rotation
from registry_operator.desired.certificates import is_written
from registry_operator.desired.rendered import Child, fingerprint, identity
from registry_operator.errors import ClusterError, NotFound, WriteConflict
from registry_operator.models import AccessToken, Key, Registry
from registry_operator.observed import Conflict, SecretData
from registry_operator.reconcile import scaling
from registry_operator.reconcile.context import Context
from registry_operator.reconcile.drift import Path, covers, differences
from registry_operator.reconcile.every import every
from registry_operator.reconcile.repairs import Drift, who
from registry_operator.secrets import read

Owner = Registry | AccessToken
KINDS = {resource.kind: resource for resource in KNOWN.values() if resource.group != "roadstead.dev"}
log = logging.getLogger(__name__)


async def apply_all(at: Context, owner: Owner, children: Iterable[Child]) -> list[Conflict]:
    """All at a time. The first error is raised when every one has ended."""
    results = await every(apply(at, owner, child) for child in children)
    return [result for result in results if result is not None]


async def apply(at: Context, owner: Owner, child: Child) -> Conflict | None:
    """Applies a child over what was seen of it, unless that is as it should be. Raises ClusterError."""
    if child["kind"] == SECRETS.kind:
        return await _apply_secret(at, owner, child)
    kind, key = identity(child)
    there = at.cache.children.get((kind, key))
    if there is not None and owner.meta.uid not in there.owners and not adopted(there.document, owner):
        return Conflict(kind, key)
    if there is not None and is_up_to_date(at, there, child):
        return None
    try:
        await _mend(at, owner, child, there)
    except WriteConflict:  # somebody wrote it since, or it is there and has no label of ours: look
        return await _apply_over(at, owner, child)
    return None


async def _apply_over(at: Context, owner: Owner, child: Child) -> Conflict | None:
    """Once more, over what is there now. Raises WriteConflict where that changes all the time."""
    kind, key = identity(child)
    try:
        obj = await at.cluster.get(resource_of(child), *key)
    except NotFound:
        await _mend(at, owner, child, None)
        return None
    if not is_ours(obj, owner):
        return Conflict(kind, key)
    there = seen.child(obj)
    if there is not None and is_up_to_date(at, there, child):
        at.cache.see_child(kind, key, there)
    else:
        await _mend(at, owner, child, there, Version.of(obj))
    return None


async def _mend(
    at: Context, owner: Owner, child: Child, there: Seen | None, unlabelled: Version | None = None
) -> None:
    """Writes, and tells if another hand is the reason."""
    drift = None if unlabelled and not there else await _drift(at, owner, child, there)
    applied = await _write(at, owner, child, there, unlabelled)
    if there is None or applied is None or applied.content != there.content:
        tell(at, owner, drift)


async def _drift(at: Context, owner: Owner, child: Child, there: Seen | None) -> Drift | None:
    """What another hand changed: the object says of itself that it is what is wanted now, and it is not."""
    if there is None:
        return _deleted(at, owner, child)
    if there.rendered != fingerprint(child):
        return None
    fields = tuple(differences(there.document, bare(child)))
    return await changed_by(at, resource_of(child), identity(child)[1], fields)


def _deleted(at: Context, owner: Owner, child: Child) -> Drift | None:
    """Of a child that is not there, and was."""
    place = identity(child)
    return Drift(*place) if at.cache.gone.misses(place, owner.meta.uid, at.cache.accounts) else None


async def changed_by(at: Context, resource: Resource, key: Key, fields: tuple[Path, ...]) -> Drift:
    """Who it was is worth a request, but no failure."""
    managed: list[dict[str, Any]] = []
    with suppress(ClusterError):
        metadata = (await at.cluster.get(resource, *key))["metadata"]
        managed = metadata.get("managedFields") or []
    return Drift(resource.kind, key, fields, who(managed, fields))


def tell(at: Context, owner: Owner, drift: Drift | None) -> None:
    """In an Event of the owner, which has no values, and in the log."""
    if drift is None:
        return
    log.warning("drift repaired", extra={"drift": str(drift)})
    note = at.repairs.note(drift, time.monotonic(), owner.KIND)
    if note is not None:
        at.recorder.record(owner, [note])


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
    return owner.meta.uid in seen.owners(obj) or adopted(seen.document(obj), owner)


def adopted(document: Mapping[str, Any], owner: Owner) -> bool:
    """Whether the object's annotation gives it to the Registry."""
    annotations = document["metadata"]["annotations"] or {}
    return isinstance(owner, Registry) and annotations.get(names.ADOPT) == owner.meta.name


def is_up_to_date(at: Context, there: Seen, child: Child) -> bool:
    """The same fingerprint, and nobody changed it since: or it has the form that our own apply got, too."""
    if there.rendered != fingerprint(child):
        return False
    have = there.document
    return covers(have, bare(child)) or at.normal.get((there.kind, there.key)) == there.content


def bare(child: Child) -> dict[str, Any]:
    """What of a child is compared: names are equal anyhow."""
    metadata = {name: child["metadata"].get(name) for name in ("labels", "annotations", "ownerReferences")}
    return {**child, "metadata": metadata}


async def _write(
    at: Context, owner: Owner, child: Child, there: Seen | None, unlabelled: Version | None = None
) -> Seen | None:
    over: Known | None = there or unlabelled
    if scaling.leaves_replicas(child):
        child, over = await scaling.hand_over(at, owner, child, there, over)
    applied = seen.child(await at.cluster.apply(child, over))
    if applied is None:
        return None
    if not covers(applied.document, bare(child)):
        at.normal[applied.kind, applied.key] = applied.content
    at.cache.see_child(applied.kind, applied.key, applied)
    return applied


async def _apply_secret(at: Context, owner: Owner, child: Child) -> Conflict | None:
    """What another wrote in the same moment is read, never overwritten: it may be a password in use."""
    kind, key = identity(child)
    found = at.secrets.view.get(key)
    there = found if isinstance(found, SecretData) else None
    if there is not None:
        if there.deleting:
            raise WriteConflict(f"Secret {key}: it is being deleted")
        if not owns(owner, there) and not (isinstance(owner, Registry) and is_written(there, owner)):
            return Conflict(kind, key)
        if owns(owner, there) and is_same(there, child):
            return None
    drift = await _drift_of_secret(at, owner, child, there)
    try:
        at.secrets.put(key, read(await at.cluster.apply(child, there)))
    except WriteConflict:
        if there is None:
            at.secrets.put(key, read(await at.cluster.get(SECRETS, *key)))
        raise
    tell(at, owner, drift)
    return None


async def _drift_of_secret(at: Context, owner: Owner, child: Child, there: SecretData | None) -> Drift | None:
    """As `_drift`; where a token's password is lost, or was written over, what is wanted now is another."""
    _, key = identity(child)
    token = owner if isinstance(owner, AccessToken) and owner.secret == key else None
    if there is None:
        gone = _deleted(at, owner, child)
        return gone and gone._replace(anew=token is not None)
    spoiled = rotation.spoiled(token, there) if token else ()
    fields = spoiled or changed(there, child)
    if not fields:
        return None
    return (await changed_by(at, SECRETS, key, fields))._replace(anew=bool(spoiled))


def changed(there: SecretData, child: Child) -> tuple[Path, ...]:
    """Fields of a Secret that another hand changed; none where it is we who want something else now."""
    if there.annotations.get(names.RENDERED) != fingerprint(child):
        return ()
    have = {"annotations": dict(there.annotations), "labels": dict(there.labels)}
    want = {name: child["metadata"].get(name) or {} for name in have}
    keys = [
        ("data", name)
        for name, value in (child.get("data") or {}).items()
        if there.values.get(name) != base64.b64decode(value)
    ]
    return (*differences({"metadata": have}, {"metadata": want}), *keys)


def owns(owner: Owner, secret: SecretData) -> bool:
    """By its owner reference, or by its label in a namespace where no reference is allowed."""
    return owner.meta.uid in secret.made_for


def is_same(there: SecretData, child: Child) -> bool:
    """Whether the Secret is what is rendered; the values decide, not the annotation alone."""
    metadata = child["metadata"]
    return (
        covers(there.annotations, metadata.get("annotations") or {})
        and covers(there.labels, metadata.get("labels") or {})
        and all(
            there.values.get(name) == base64.b64decode(value)
            for name, value in (child.get("data") or {}).items()
        )
    )


async def remove(at: Context, kind: str, key: Key, owner: Owner) -> None:
    """Deletes a child that is wanted no longer, if it is ours. Raises WriteConflict where it changed."""
    if kind == SECRETS.kind:
        secret = at.secrets.view.get(key)
        if isinstance(secret, SecretData) and owns(owner, secret):
            await at.cluster.delete(SECRETS, *key, secret)
            at.secrets.put(key, None)
    else:
        there = at.cache.children.get((kind, key))
        if there is not None and owner.meta.uid in there.owners:
            await at.cluster.delete(KINDS[kind], *key, there)
            at.cache.see_child(kind, key, None)
    at.cache.gone.forget((kind, key))  # that was no other hand
