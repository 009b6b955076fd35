"""What the caller's own rights let it read; what they do not is left out, and said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from registry_operator import names
from registry_operator import seen as objects
from registry_operator.cluster import Cluster, Resource, Scope
from registry_operator.cluster.resources import (
    ACCESS_TOKENS,
    CLAIMS,
    NAMESPACES,
    PODS,
    REGISTRIES,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from registry_operator.errors import InvalidResource, NotFound, NotPermitted
from registry_operator.models import AccessToken, Key, Namespace, Registry
from registry_operator.observed import SecretData, SecretView, Waiting
from registry_operator.secrets import read
from registry_operator.why.seen import Container, Pod, Seen

Object = Mapping[str, Any]
R = TypeVar("R", Registry, Namespace, AccessToken)


async def pod(cluster: Cluster, key: Key) -> Pod:
    """Raises NotFound and NotPermitted, as all here for what was asked for by name."""
    found = await cluster.get(PODS, *key)
    spec, status = found["spec"], found.get("status") or {}
    account = spec.get("serviceAccountName") or "default"
    states = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    waiting = {one["name"]: one for one in states}
    return Pod(
        key,
        tuple(
            Container(one["name"], one["image"], _waiting(waiting.get(one["name"])))
            for one in (*(spec.get("initContainers") or ()), *spec["containers"])
        ),
        account,
        _names(spec),
        _names(await _one(cluster, SERVICE_ACCOUNTS, Key(key.namespace, account)) or {}),
        status.get("hostIP") or "",
    )


async def look(cluster: Cluster, namespace: str, wanted: Iterable[Key] = ()) -> Seen:
    """From the side of this Kubernetes namespace; `wanted` are Secrets. Policies are not read yet."""
    hidden: set[str] = set()
    kinds = (REGISTRIES, CLAIMS, ACCESS_TOKENS, NAMESPACES)
    registries, claims, tokens, accounts = [await _all(cluster, one, namespace, hidden) for one in kinds]
    return Seen(
        datetime.now(UTC),
        {one.key: one for one in _parsed(Registry, registries)},
        tuple(_parsed(Namespace, claims)),
        {one.key: one for one in _parsed(AccessToken, tokens)},
        {one["metadata"]["name"]: objects.account(one) for one in accounts},
        await _secrets(cluster, wanted),
        frozenset(hidden),
    )


async def policies(cluster: Cluster, seen: Seen, wanted: Iterable[Registry | None]) -> Seen:
    """The same, with the policies of these Registries, as far as they may be read."""
    keys = [key for one in wanted if one is not None for key in names.policies(one)]
    more = await _secrets(cluster, keys)
    found = {**seen.secrets.found, **more.found}
    return replace(seen, secrets=SecretView(found, seen.secrets.refused | more.refused))


async def _all(cluster: Cluster, resource: Resource, namespace: str, hidden: set[str]) -> list[Object]:
    """Of the whole cluster; where that is not permitted, of this namespace."""
    try:
        return [one async for page in cluster.pages(resource, Scope()) for one in page.items]
    except NotPermitted:
        hidden.add(resource.plural)
    try:
        return [one async for page in cluster.pages(resource, Scope(namespace)) for one in page.items]
    except NotPermitted:
        return []


async def _secrets(cluster: Cluster, wanted: Iterable[Key]) -> SecretView:
    """A namespace of which one may not be read counts as refused, unless another of it may."""
    found: dict[Key, SecretData] = {}
    refused: set[str] = set()
    for key in sorted(set(wanted)):
        try:
            found[key] = read(await cluster.get(SECRETS, *key))
        except NotFound:
            continue
        except NotPermitted:
            refused.add(key.namespace)
    return SecretView(found, frozenset(refused - {key.namespace for key in found}))


async def _one(cluster: Cluster, resource: Resource, key: Key) -> Object | None:
    """None where it is not there, or may not be read."""
    try:
        return await cluster.get(resource, key.namespace or None, key.name)
    except (NotFound, NotPermitted):
        return None


def _parsed(kind: type[R], found: Iterable[Object]) -> list[R]:
    """Those that can be read."""
    parsed = []
    for obj in found:
        with suppress(InvalidResource):
            parsed.append(kind.parse(obj))
    return parsed


def _names(obj: Object) -> tuple[str, ...]:
    return tuple(one["name"] for one in obj.get("imagePullSecrets") or () if one.get("name"))


def _waiting(status: Object | None) -> Waiting | None:
    found = ((status or {}).get("state") or {}).get("waiting")
    return Waiting(found.get("reason", ""), found.get("message", "")) if found else None
