"""What of an object we applied last: the fields that `metadata.managedFields` gives to our manager.

That, and not the whole object, is what the next apply is compared with: defaults of the API server, and what
other controllers wrote, are no change of ours.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from registry_operator.cluster.api import MANAGER

# Within a list that is applied as a whole the API server's defaults stand beside what was applied.
_DEFAULTS = {"protocol": "TCP", "apiVersion": "v1", "expirationSeconds": 3600, "matchPolicy": "Equivalent"}


def applied(obj: Mapping[str, Any], want: Mapping[str, Any], manager: str = MANAGER) -> dict[str, Any]:
    """What was applied last, in the words of what is to be applied now; {} where nothing was."""
    metadata = obj["metadata"]
    fields = [
        entry["fieldsV1"]
        for entry in metadata.get("managedFields") or ()
        if entry.get("manager") == manager and not entry.get("subresource") and "fieldsV1" in entry
    ]
    found: dict[str, Any] = {}
    for each in fields:
        found = _merged(found, _project(obj, each))
    names = {"apiVersion": obj["apiVersion"], "kind": obj["kind"]}
    place = {name: metadata[name] for name in ("name", "namespace") if name in metadata}
    whole = {**found, **names, "metadata": {**(found.get("metadata") or {}), **place}}
    told: dict[str, Any] = _told(whole, want)
    return told


def _project(have: Any, fields: Mapping[str, Any]) -> Any:
    """Of a value what a FieldsV1 names; one without children is a scalar, or is applied as a whole."""
    inner = {name: sub for name, sub in fields.items() if name != "."}
    if not inner:
        return have
    if isinstance(have, list):
        return [picked for one in have for picked in _item(one, inner)]
    if not isinstance(have, dict):
        return have
    return {
        name[2:]: _project(have[name[2:]], sub)
        for name, sub in inner.items()
        if name.startswith("f:") and name[2:] in have
    }


def _item(one: Any, fields: Mapping[str, Any]) -> list[Any]:
    """Of an element of a list: found by its keys, or as a value of a set."""
    for name, sub in fields.items():
        kind, _, text = name.partition(":")
        wanted = json.loads(text)
        if kind == "v" and one == wanted:
            return [one]
        if kind == "k" and isinstance(one, dict) and all(one.get(key) == wanted[key] for key in wanted):
            return [_project(one, sub)]
    return []


def _merged(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {**one, **{name: _merged(one.get(name), value) for name, value in other.items()}}
    return other


def _told(have: Any, want: Any) -> Any:
    """Without the API server's defaults, and with what it drops: null and empty values."""
    if isinstance(have, dict) and isinstance(want, dict):
        told = {
            name: _told(value, want.get(name))
            for name, value in have.items()
            if name in want or _DEFAULTS.get(name) != value
        }
        empty = {name: value for name, value in want.items() if name not in have and value in (None, {}, [])}
        return {**told, **empty}
    if isinstance(have, list) and isinstance(want, list) and len(have) == len(want):
        return [_told(*pair) for pair in zip(have, want, strict=True)]
    return have
