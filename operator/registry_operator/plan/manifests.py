"""Files → the resources that they declare, as `kubectl apply -f` reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import yaml

from registry_operator.cluster.resources import (
    ACCESS_TOKENS,
    CLAIMS,
    NAMESPACES,
    REGISTRIES,
    ROLE_BINDINGS,
    SECRETS,
    Resource,
)
from registry_operator.errors import InvalidResource
from registry_operator.models import Key

Object = dict[str, Any]
OURS = (REGISTRIES, CLAIMS, ACCESS_TOKENS)
# What else decides a plan: accounts, consents, and the Secrets that a Registry names.
BESIDE = (NAMESPACES, ROLE_BINDINGS, SECRETS)
_KNOWN = {(one.api_version, one.kind): one for one in (*OURS, *BESIDE)}
_SUFFIXES = {".yaml", ".yml", ".json"}


@dataclass(frozen=True)
class Declared:
    """A resource of a file, and where it stands there."""

    resource: Resource
    key: Key
    obj: Object
    source: str


@dataclass(frozen=True)
class Manifests:
    """`others` is how many resources are of kinds that no plan depends on."""

    declared: tuple[Declared, ...] = ()
    others: int = 0

    def of(self, *resources: Resource) -> tuple[Declared, ...]:
        return tuple(one for one in self.declared if one.resource in resources)

    @property
    def namespaces(self) -> frozenset[str]:
        """Kubernetes namespaces that the resources of Roadstead's kinds are in."""
        return frozenset(one.key.namespace for one in self.of(*OURS))


def read(names: Iterable[str], stdin: TextIO, namespace: str) -> Manifests:
    """Files, folders with all that is below, `-`. Raises InvalidResource and OSError.

    `namespace` is for resources that name none, as with kubectl.
    """
    declared: list[Declared] = []
    others = 0
    for source, text in _texts(names, stdin):
        for obj in _objects(source, text):
            resource = _KNOWN.get((str(obj.get("apiVersion")), str(obj.get("kind"))))
            if resource is None:
                others += 1
            else:
                declared.append(_declared(resource, obj, source, namespace))
    return Manifests(tuple(declared), others)


def _texts(names: Iterable[str], stdin: TextIO) -> Iterator[tuple[str, str]]:
    for name in names:
        if name == "-":
            yield "standard input", stdin.read()
            continue
        path = Path(name)
        found = [one for one in path.rglob("*") if one.suffix in _SUFFIXES] if path.is_dir() else [path]
        for file in sorted(found):
            if path.is_dir() and file.name.startswith("kustomization."):
                continue
            yield str(file), file.read_text()


def _objects(source: str, text: str) -> Iterator[Object]:
    """Documents, and the items of a List."""
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise InvalidResource(source, f"is no YAML{where}: {getattr(error, 'problem', None)}") from None
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict):
            raise InvalidResource(source, "a document is no Kubernetes object")
        if str(document.get("kind")).endswith("List") and isinstance(document.get("items"), list):
            yield from (item for item in document["items"] if isinstance(item, dict))
        else:
            yield document


def _declared(resource: Resource, obj: Object, source: str, namespace: str) -> Declared:
    metadata = obj.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str):
        raise InvalidResource(source, f"a {resource.kind} without metadata.name")
    where = str(metadata.get("namespace") or namespace) if resource.namespaced else ""
    placed = {**metadata, "namespace": where} if where else metadata
    return Declared(resource, Key(where, name), {**obj, "metadata": placed}, source)
