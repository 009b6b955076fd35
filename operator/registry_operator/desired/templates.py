"""Templates and values → objects. Every value goes through `tojson`, so none can change the structure."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from functools import cache
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError
from markupsafe import Markup

from registry_operator import names
from registry_operator.desired.rendered import Child
from registry_operator.errors import RenderFailed

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times as fast
SHORT = 128  # characters
PAIR = re.compile(r"\\\\|\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})")  # or an escaped backslash


def render(template: str, **values: Any) -> Child:
    """The object that the template makes of the values, with its fingerprint. Raises RenderFailed."""
    try:
        text = _environment().get_template(f"{template}.yaml.j2").render(**values)
        child: Child = _shared(yaml.load(text, Loader))  # noqa: S506 - a safe loader
    except (TemplateError, yaml.YAMLError, TypeError) as error:
        raise RenderFailed(f"template {template}: {type(error).__name__}: {error}") from error
    annotations = child["metadata"].setdefault("annotations", {})
    annotations[names.RENDERED] = hashlib.sha256(json.dumps(child, sort_keys=True).encode()).hexdigest()[:32]
    return child


def _shared(value: Any) -> Any:
    """The same, with one copy of each short text: children of policies are kept, of a thousand Registries."""
    if isinstance(value, dict):
        return {sys.intern(name): _shared(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shared(one) for one in value]
    return sys.intern(value) if isinstance(value, str) and len(value) < SHORT else value


@cache
def _environment() -> Environment:
    environment = Environment(  # noqa: S701 - what is rendered is YAML; `finalize` guards it
        loader=PackageLoader("registry_operator"),
        undefined=StrictUndefined,
        finalize=_only_json,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_function"] = _dumps
    return environment


def _dumps(value: Any, **options: Any) -> str:
    """JSON that is YAML, too: YAML has no surrogate pairs, and a raw character might be a line's end."""
    return PAIR.sub(_as_yaml, json.dumps(value, **options))


def _as_yaml(found: re.Match[str]) -> str:
    if found[1] is None:
        return found[0]
    pair = bytes.fromhex(found[1] + found[2]).decode("utf-16-be")
    return f"\\U{ord(pair):08x}"


def _only_json(value: Any) -> Any:
    if not isinstance(value, Markup):
        raise TemplateError("a value does not go through tojson")
    return value
