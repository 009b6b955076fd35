"""What is written → what changes: a diff of what we say of the object, before and after.

Of a Secret nothing is shown but which of its keys change.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from registry_operator import names
from registry_operator.cluster.resources import DEPLOYMENTS, SECRETS
from registry_operator.models import Key
from registry_operator.observed import Endpoint
from registry_operator.plan.manifests import OURS
from registry_operator.plan.owned import applied
from registry_operator.plan.rehearsal import Verb, Write

Object = Mapping[str, Any]
CONTEXT = 2  # lines around a difference
_SERVERS = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
_NOISE = (names.RENDERED, "kubectl.kubernetes.io/last-applied-configuration")


@dataclass(frozen=True, order=True)
class Change:
    """`diff` are the lines of a unified diff; empty where there is nothing to show."""

    verb: Verb
    kind: str
    key: Key
    diff: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, order=True)
class Roll:
    """Pods that are replaced, started or stopped. `pods` are those of now, each with its zone."""

    registry: Key
    why: str
    pods: tuple[tuple[str, str], ...] = ()


def change(write: Write) -> Change:
    """Raises nothing: what cannot be compared is shown as a whole."""
    kind = write.resource.kind
    if write.before is None or write.after is None:
        return Change(write.verb, kind, write.key)
    if write.resource is SECRETS:
        return Change(write.verb, kind, write.key, _keys(write.before, write.after))
    before, after = both(write)
    return Change(write.verb, kind, write.key, diff(before, after))


def both(write: Write) -> tuple[Object, Object]:
    """Before and after, each only what is said of the object by whoever writes it."""
    before, after = write.before or {}, write.after or {}
    if write.resource in OURS:
        return _declared(before), _declared(after)
    if "managedFields" in after.get("metadata", {}):  # patched, not applied: all of it is there
        return _bare(before), _bare(after)
    return _bare(applied(before, _bare(after)) if before else {}), _bare(after)


def differs(before: Object, after: Object) -> bool:
    """Whether it is a change at all of a resource that somebody declares."""
    return _declared(before) != _declared(after)


def roll(write: Write, endpoints: tuple[Endpoint, ...]) -> Roll | None:
    """What the write of a Deployment does to its pods."""
    pods = tuple((one.pod, one.zone) for one in endpoints)
    if write.resource is not DEPLOYMENTS:
        return None
    if write.after is None:
        return Roll(write.key, "stop: the Deployment is deleted", pods)
    wanted = write.after["spec"].get("replicas", 1)
    if write.before is None:
        return Roll(write.key, f"start: {wanted} replicas")
    before, after = both(write)
    if before.get("spec", {}).get("template") != after["spec"]["template"]:
        return Roll(write.key, "roll: the pod template changes", pods)
    have = write.before["spec"].get("replicas", 1)
    return Roll(write.key, f"scale: {have} → {wanted} replicas", pods) if have != wanted else None


def diff(before: Object, after: Object) -> tuple[str, ...]:
    """Lines, without the names of two files."""
    old, new = dump(before).splitlines(), dump(after).splitlines()
    return tuple(difflib.unified_diff(old, new, n=CONTEXT, lineterm=""))[2:]


def dump(obj: Object) -> str:
    """YAML, keys sorted, texts of several lines as such."""
    return yaml.dump(dict(obj), Dumper=_Dumper, sort_keys=True, default_flow_style=False, width=100)


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def _declared(obj: Object) -> dict[str, Any]:
    """Of a resource of Roadstead's: what people say of it."""
    metadata = _bare(obj).get("metadata", {})
    said = {name: metadata[name] for name in ("labels", "annotations") if metadata.get(name)}
    return {"metadata": said, "spec": obj.get("spec") or {}}


def _bare(obj: Object) -> dict[str, Any]:
    """Without status, and without what the API server alone writes."""
    metadata = {name: value for name, value in (obj.get("metadata") or {}).items() if name not in _SERVERS}
    annotations = {
        name: value for name, value in (metadata.pop("annotations", None) or {}).items() if name not in _NOISE
    }
    if annotations:
        metadata["annotations"] = annotations
    rest = {name: value for name, value in obj.items() if name not in {"metadata", "status"}}
    return {**rest, "metadata": metadata} if obj else {}


def _keys(before: Object, after: Object) -> tuple[str, ...]:
    """Which keys of a Secret change."""
    old, new = before.get("data") or {}, after.get("data") or {}
    changed = {name: _mark(old.get(name), new.get(name)) for name in {*old, *new}}
    return tuple(f"{mark}data.{name}: (not shown)" for name, mark in sorted(changed.items()) if mark)


def _mark(old: str | None, new: str | None) -> str:
    if old == new:
        return ""
    return {(True, False): "+", (False, True): "-"}.get((old is None, new is None), "~")
