"""The plainest children of a Registry, and what the metadata of every one says."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from registry_operator import names
from registry_operator.desired.templates import render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry_operator.desired.rendered import Child
    from registry_operator.models import Key, Registry


def metadata(registry: Registry, key: Key, component: str) -> dict[str, Any]:
    return {
        "name": key.name,
        "namespace": key.namespace,
        "labels": names.labels(registry, component),
        "ownerReferences": [names.owner_reference(registry)],
    }


def config_map(metadata: Mapping[str, Any], data: Mapping[str, str]) -> Child:
    return render("config-map", metadata=metadata, data=data)


def secret(metadata: Mapping[str, Any], values: Mapping[str, bytes] | None, kind: str = "Opaque") -> Child:
    """Without values it is somebody else's to fill."""
    data = (
        None if values is None else {name: base64.b64encode(value).decode() for name, value in values.items()}
    )
    return render("secret", metadata=metadata, type=kind, data=data)
