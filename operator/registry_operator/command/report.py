"""`kubectl roadstead report`: a bundle for support, without what is secret. docs/kubectl.md lists it."""

from __future__ import annotations

import argparse
import io
import json
import tarfile
import time
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from registry_operator.cluster import Cluster, Resource, Scope
from registry_operator.cluster.resources import (
    ACCESS_TOKENS,
    CLAIMS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    EVENTS,
    NAMESPACES,
    PODS,
    REGISTRIES,
    ROLE_BINDINGS,
    SECRETS,
)
from registry_operator.command.connection import FINE, Connection
from registry_operator.command.printing import Printer
from registry_operator.command.redaction import Scrubber, secret, values
from registry_operator.command.replicas import conditions, state, tell
from registry_operator.errors import ClusterError, NotPermitted, OperatorError
from registry_operator.models import Key
from registry_operator.names import INSTANCE
from registry_operator.watches import CHILDREN, OURS

HELP = "a bundle for support: resources, Events, logs, metrics; without what is secret"
OWN = (REGISTRIES, CLAIMS, ACCESS_TOKENS)
OPERATOR = "app.kubernetes.io/name=roadstead-operator"
METRICS = (("operator", 8081, OPERATOR), ("registry", 8080, OURS))  # container, port, labels of pods
Object = dict[str, Any]


def describe(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-f", "--file", type=Path, help="[roadstead-report-<time>.tar.gz]")
    add("--operator-namespace", default="roadstead-system", help="[%(default)s]")
    add("--lines", type=int, default=2000, help="of each log, the last [%(default)s]")


async def run(options: argparse.Namespace, printer: Printer) -> int:
    """Of the Kubernetes namespace of -n; without it, of all that have a resource of Roadstead's."""
    connection = Connection.open(options)
    now = datetime.now(UTC)
    place = options.file or Path(f"roadstead-report-{now:%Y%m%dT%H%M%SZ}.tar.gz")
    async with connection.cluster() as cluster:
        found = Report(cluster, options.operator_namespace, options.namespace, options.lines)
        await found.gather()
    try:
        pack(place, found.files, now)
    except OSError as error:
        raise OperatorError(f"{place}: cannot be written: {error.strerror}") from None
    printer.line(f"✓ {place}: {len(found.files)} files, no value of a Secret", "green")
    for one in found.missing:
        printer.line(f"· {one}", "yellow")
    printer.line("Look at it before you give it away: a secret that nobody declared as one is not known.")
    return FINE


class Report:
    """`files` are texts by their paths in the bundle; `missing` is what the caller may not read."""

    def __init__(self, cluster: Cluster, operator: str, only: str | None, lines: int) -> None:
        self._cluster = cluster
        self._operator = operator
        self._only = only
        self._lines = lines
        self._scrubber = Scrubber(())
        self._statuses: dict[Key, Object] = {}  # of Registries
        self.files: dict[str, str] = {}
        self.missing: list[str] = []

    async def gather(self) -> None:
        """Secrets first: their values must be known before anything else is written down."""
        own = {resource: await self._all(resource, self._only) for resource in OWN}
        self._statuses = {_key(one): one.get("status") or {} for one in own[REGISTRIES]}
        named = {obj["metadata"]["namespace"] for objects in own.values() for obj in objects}
        namespaces = sorted({*named, self._operator, *([self._only] if self._only else [])})
        secrets = {one: await self._all(SECRETS, one) for one in namespaces}
        self._scrubber = Scrubber(value for each in secrets.values() for obj in each for value in values(obj))
        for resource, objects in own.items():
            self._add(f"resources/{resource.plural}.roadstead.dev", objects)
        for namespace in namespaces:
            await self._namespace(namespace, secrets[namespace])
        await self._add_versions()
        self.files["README.txt"] = self._scrubber.text(self._readme(namespaces))

    async def _namespace(self, namespace: str, secrets: list[Object]) -> None:
        folder = f"namespaces/{namespace}"
        self.files[f"{folder}/secrets.json"] = _json([secret(one) for one in secrets])
        try:
            account = [await self._cluster.get(NAMESPACES, None, namespace)]
        except ClusterError as error:
            account = self._lacks(error)
        self._add(f"{folder}/namespace", account)
        for resource in (*CHILDREN, ENDPOINT_SLICES):
            self._add(f"{folder}/{resource.plural}", await self._all(resource, namespace, OURS))
        self._add(f"{folder}/consents", [
            one for one in await self._all(ROLE_BINDINGS, namespace)
            if one["roleRef"]["name"].startswith("roadstead-")
        ])  # fmt: skip
        self._add(f"{folder}/events", await self._all(EVENTS, namespace))
        if namespace == self._operator:
            self._add(f"{folder}/operator", await self._all(DEPLOYMENTS, namespace, OPERATOR))
        for labels in (OURS, *([OPERATOR] if namespace == self._operator else [])):
            await self._pods(namespace, labels)

    async def _pods(self, namespace: str, labels: str) -> None:
        pods = await self._all(PODS, namespace, labels)
        component = "operator" if labels is OPERATOR else "replicas"
        states: list[Object] = []
        self._add(f"namespaces/{namespace}/pods-of-{component}", pods)
        for pod in pods:
            name = pod["metadata"]["name"]
            statuses = (pod.get("status") or {}).get("containerStatuses") or ()
            restarted = any(one.get("restartCount") for one in statuses)
            for suffix, previous in (("", "false"), *([("-previous", "true")] if restarted else [])):
                query = {"tailLines": str(self._lines), "previous": previous, "timestamps": "true"}
                await self._text(
                    f"namespaces/{namespace}/logs/{name}{suffix}.log", Key(namespace, name), "log", query
                )
            for kind, port, wanted in METRICS:
                if wanted is labels:
                    proxy = Key(namespace, f"{name}:{port}")
                    path = f"namespaces/{namespace}/metrics/{kind}-{name}.txt"
                    said = await self._text(path, proxy, "proxy/metrics", {})
                    if labels is OURS:
                        states.append({"pod": name, **self._state(pod, said)})
        if states:
            self._add(f"namespaces/{namespace}/replicas", states)
            text = io.StringIO()
            tell(states, Printer(text))
            self.files[f"namespaces/{namespace}/replicas.txt"] = self._scrubber.text(text.getvalue())

    def _state(self, pod: Object, said: str | ClusterError) -> Object:
        """What a replica says of itself, or why it could not be asked."""
        if isinstance(said, ClusterError):
            return {"unreachable": said.message}
        found, metadata = state(said), pod["metadata"]
        registry = Key(metadata["namespace"], metadata["labels"].get(INSTANCE, ""))
        return {**found, "conditions": conditions(found, self._statuses.get(registry, {}))}

    async def _text(self, path: str, pod: Key, subresource: str, query: dict[str, str]) -> str | ClusterError:
        """Raises nothing: what is missing is named, and the rest goes on."""
        try:
            text = await self._cluster.text(PODS, pod.namespace, pod.name, subresource, query)
        except ClusterError as error:
            self._lacks(error)
            return error
        self.files[path] = self._scrubber.text(text)
        return text

    async def _add_versions(self) -> None:
        try:
            self.files["version.json"] = self._scrubber.text(await self._cluster.version())
        except ClusterError as error:
            self._lacks(error)

    async def _all(self, resource: Resource, namespace: str | None, labels: str = "") -> list[Object]:
        return [obj async for obj in self._each(resource, namespace, labels)]

    async def _each(self, resource: Resource, namespace: str | None, labels: str) -> AsyncIterator[Object]:
        try:
            async for page in self._cluster.pages(resource, Scope(namespace, labels)):
                for obj in page.items:
                    yield obj
        except ClusterError as error:
            self._lacks(error)

    def _add(self, path: str, objects: Iterable[Object]) -> None:
        cleaned = [self._scrubber.object(one) for one in objects]
        if cleaned:
            self.files[f"{path}.json"] = _json(cleaned)

    def _lacks(self, error: ClusterError) -> list[Object]:
        sentence = f"you lack a right: {error.message}" if isinstance(error, NotPermitted) else error.message
        if sentence not in self.missing:
            self.missing.append(self._scrubber.text(sentence))
        return []

    def _readme(self, namespaces: list[str]) -> str:
        lines = [
            "A report of Roadstead for support (docs/kubectl.md#report).",
            f"Kubernetes namespaces: {', '.join(namespaces)}",
            "Of Secrets there are names, keys and sizes. Elsewhere their values, and what looks like a",
            "credential, are [redacted]; so are environment and annotations that are not Roadstead's.",
            *(["", "Missing:"] if self.missing else []),
            *(f"  {one}" for one in self.missing),
        ]
        return "\n".join(lines) + "\n"


def pack(place: Path, files: dict[str, str], now: datetime) -> None:
    """For nobody else to read."""
    place.touch(mode=0o600)
    with tarfile.open(place, "w:gz") as archive:
        for path, text in sorted(files.items()):
            content = text.encode()
            entry = tarfile.TarInfo(f"roadstead-report/{path}")
            entry.size, entry.mtime, entry.mode = len(content), int(time.mktime(now.timetuple())), 0o600
            archive.addfile(entry, io.BytesIO(content))


def _key(obj: Object) -> Key:
    return Key(obj["metadata"]["namespace"], obj["metadata"]["name"])


def _json(objects: list[Object]) -> str:
    return json.dumps(objects, indent=1, sort_keys=True) + "\n"
