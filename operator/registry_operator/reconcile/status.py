"""Statuses and their Events, written only when they differ."""

from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from registry_operator import names
from registry_operator.checks import deletion, failure
from registry_operator.cluster import Version
from registry_operator.cluster.resources import ACCESS_TOKENS, CLAIMS, REGISTRIES, Resource
from registry_operator.errors import NotFound, OperatorError
from registry_operator.events import notes
from registry_operator.models import (
    AccessToken,
    AccessTokenStatus,
    Key,
    Namespace,
    NamespaceStatus,
    OwnStatus,
    Registry,
    RegistryStatus,
)
from registry_operator.queue import Kind, Work
from registry_operator.reconcile.context import Context

RESOURCES: dict[str, Resource] = {
    Registry.KIND: REGISTRIES,
    Namespace.KIND: CLAIMS,
    AccessToken.KIND: ACCESS_TOKENS,
}


async def write(
    at: Context,
    of: Registry | Namespace | AccessToken,
    status: RegistryStatus | NamespaceStatus | AccessTokenStatus,
) -> None:
    """Raises WriteConflict where the resource is another than the one that was judged."""
    document = status.document()
    if Work(Kind(of.KIND), *of.key) in at.cache.unreadable:
        return  # this is its last good version: `unreadable` says so
    if document == of.status.document():
        return
    resource = RESOURCES[of.KIND]
    meta = of.meta
    body: dict[str, Any] = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "namespace": meta.namespace,
            "name": meta.name,
        },
        "status": document,
    }
    try:
        answer = await at.cluster.apply_status(body, meta)
    except NotFound:
        return  # deleted meanwhile
    cache = at.cache
    match of:  # what is known to be gone by now is not brought back by an answer from before
        case Registry() if of.key in cache.registries.objects:
            cache.see_registry(of.key, Registry.parse(answer))
        case Namespace() if of.key in cache.claims.objects:
            cache.see_claim(of.key, Namespace.parse(answer))
        case AccessToken() if of.key in cache.tokens.objects:
            cache.see_token(of.key, AccessToken.parse(answer))
    at.recorder.record(of, notes(of.status.conditions, status.conditions))


async def unreadable(at: Context, work: Work) -> None:
    """Says that a resource cannot be read; what else stands in its status stays. Raises ClusterError."""
    found = at.cache.unreadable.get(work)
    if found is None:
        return
    metadata, before, error = found.raw["metadata"], found.raw.get("status") or {}, found.error
    if "deletionTimestamp" in metadata:
        if names.CONTENT not in (metadata.get("finalizers") or ()):
            return  # others hold it
        error = deletion.unread(error, Key(work.namespace, work.name))
    try:
        known = OwnStatus.model_validate(before)
    except ValidationError:
        before, known = {}, OwnStatus()
    said = failure.judge(known, metadata["generation"], error, at.now(), at.settings)
    if said.document() == known.document():
        return
    body = {
        "apiVersion": found.raw["apiVersion"],
        "kind": found.raw["kind"],
        "metadata": {name: metadata[name] for name in ("namespace", "name")},
        "status": {**before, **said.document()},
    }
    with suppress(NotFound):
        await at.cluster.apply_status(body, Version.of(found.raw))


async def fail(at: Context, of: Registry | Namespace | AccessToken, error: OperatorError) -> None:
    """Says in the status what went wrong."""
    generation, now = of.meta.generation, at.now()
    match of:
        case Registry():
            await write(at, of, failure.judge(of.status, generation, error, now, at.settings))
        case Namespace():
            await write(at, of, failure.judge(of.status, generation, error, now, at.settings))
        case AccessToken():
            await write(at, of, failure.judge(of.status, generation, error, now, at.settings))
