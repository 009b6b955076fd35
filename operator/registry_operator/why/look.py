"""What the caller's own rights let it read; what they do not is left out, and said."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

from registry_operator import names
from registry_operator import seen as objects
from registry_operator.cluster import Cluster, Resource, Scope
from registry_operator.cluster.resources import (
    ACCESS_TOKENS,
    CLAIMS,
    CONFIG_MAPS,
    NAMESPACES,
    PODS,
    REGISTRIES,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from registry_operator.errors import InvalidResource, NotFound, NotPermitted
from registry_operator.models import AccessToken, Key, Namespace, Registry
from registry_operator.observed import KubernetesNamespace, SecretData, SecretView, Waiting
from registry_operator.secrets import read
from registry_operator.why.seen import Container, Pod, Seen, secrets_of

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
    """From the side of this Kubernetes namespace; `wanted` are Secrets."""
    hidden: set[str] = set()
    found = [await _all(cluster, one, namespace, hidden) for one in (REGISTRIES, CLAIMS, ACCESS_TOKENS)]
    registries = {one.key: one for one in _parsed(Registry, found[0])}
    namespaces = _parsed(Namespace, found[1])
    tokens = {one.key: one for one in _parsed(AccessToken, found[2])}
    keys = {*wanted, *(key for one in registries.values() for key in secrets_of(one))}
    return Seen(
        datetime.now(UTC),
        registries,
        tuple(namespaces),
        tokens,
        await _accounts(cluster, {key.namespace for key in (*registries, *tokens)} | {namespace}),
        await _secrets(cluster, keys),
        {key: await _claims(cluster, one) for key, one in registries.items()},
        frozenset(hidden),
    )


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


async def _accounts(cluster: Cluster, wanted: set[str]) -> dict[str, KubernetesNamespace]:
    found = await asyncio.gather(*(_one(cluster, NAMESPACES, Key("", name)) for name in sorted(wanted)))
    return {one["metadata"]["name"]: objects.account(one) for one in found if one is not None}


async def _secrets(cluster: Cluster, wanted: set[Key]) -> SecretView:
    """A namespace of which one may not be read counts as refused, unless another of it may."""
    found: dict[Key, SecretData] = {}
    refused: set[str] = set()
    for key in sorted(wanted):
        try:
            found[key] = read(await cluster.get(SECRETS, *key))
        except NotFound:
            continue
        except NotPermitted:
            refused.add(key.namespace)
    return SecretView(found, frozenset(refused - {key.namespace for key in found}))


async def _claims(cluster: Cluster, registry: Registry) -> Mapping[str, str]:
    found = await _one(cluster, CONFIG_MAPS, names.claims(registry))
    return (found or {}).get("data") or {}


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
