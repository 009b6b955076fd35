"""Every field of the three kinds as tables of docs/fields.md, read out of the schemas that the CRDs have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from registry_operator.crd import schema
from registry_operator.models.autoscaling import QUANTITY
from registry_operator.models.base import DNS_NAME, DURATION, HOST_NAME, LABEL
from registry_operator.models.kinds import Kind

Schema = Mapping[str, Any]
BAR = r"\|"  # within a cell
HEAD = "| Field | Type | Default | |\n|---|---|---|---|"
WORDS = {  # patterns that have a name
    DNS_NAME: "a name as of an object of Kubernetes",
    rf"^{LABEL}$": "a name as of a Kubernetes namespace",
    HOST_NAME: "a host name in lower case, with a dot",
    DURATION: "a number and s, m, h or d",
    DURATION.replace("s|", ""): "a number and m, h or d",
    QUANTITY: "a quantity, such as 500m or 2Gi",
}
UNITS = {
    "string": ("Length", "characters"),
    "array": ("Items", "entries"),
    "object": ("Properties", "entries"),
}


def section(kind: Kind) -> str:
    """A kind: what is refused of it, a table for spec and status, and one for each object in them."""
    whole = schema(kind)
    parts = [
        f"## {kind.kind}\n{_head({**whole, 'description': f'{kind.description} Short: `{kind.short}`.'})}"
    ]
    for name in ("spec", "status"):
        part = whole["properties"][name]
        parts.append(f"### {_heading(kind, name)}\n{_head(part)}\n\n{_table(_direct(part, kind, name))}")
        for field, node in part["properties"].items():
            if _has_fields(node):
                place = f"{name}.{field}"
                parts.append(f"### {_heading(kind, place)}\n{_head(node)}\n\n{_table(_nested(node, place))}")
    return "\n\n".join(parts)


def _head(node: Schema) -> str:
    """What it is, and a line for each rule."""
    told = " ".join((_prose(node.get("description", "")), *_fits(node)))
    refused = "\n".join(f"- {refusal}" for refusal in _refusals(node))
    return f"{told}\n\n{refused}" if refused else told


def _direct(part: Schema, kind: Kind, path: str) -> Iterator[str]:
    """A row for each field; what has a table of its own is linked to it."""
    for name, node in part["properties"].items():
        place, required = f"{path}.{name}", name in part.get("required", ())
        if _has_fields(node):
            link = f"[`{place}`](#{_slug(_heading(kind, place))})"
            yield _row(link, node, _prose(node["description"]), required=required)
        else:
            yield _row(f"`{place}`", node, _told(node), required=required)


def _nested(node: Schema, path: str) -> Iterator[str]:
    """A row for each field at every depth; `[]` stands behind a list's name, `.*` for any name."""
    inner, place = node, path
    while "items" in inner or "additionalProperties" in inner:
        place += "[]" if "items" in inner else ".*"
        inner = inner.get("items") or inner["additionalProperties"]
    for name, child in inner.get("properties", {}).items():
        required = name in inner.get("required", ())
        yield _row(f"`{place}.{name}`", child, _told(child), required=required)
        yield from _nested(child, f"{place}.{name}")


def _has_fields(node: Schema) -> bool:
    return bool(list(_nested(node, "")))


def _heading(kind: Kind, path: str) -> str:
    return f"{kind.kind} {path}"


def _slug(heading: str) -> str:
    return heading.lower().replace(".", "").replace(" ", "-")


def _table(rows: Iterable[str]) -> str:
    return "\n".join((HEAD, *rows))


def _row(shown: str, node: Schema, told: str, *, required: bool) -> str:
    default = f"`{json.dumps(node['default'])}`" if "default" in node else ""
    cells = (shown, _type(node), "required" if required else default, told)
    return f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |"


def _type(node: Schema) -> str:
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if node.get("x-kubernetes-int-or-string"):
        return "number or string"
    if "items" in node:
        return f"list of {_type(node['items'])}"
    if "additionalProperties" in node:
        return f"map of {_type(node['additionalProperties'])}"
    return "time" if node.get("format") == "date-time" else str(node["type"])


def _told(node: Schema) -> str:
    """What it is, what fits, and what is refused."""
    refused = (*_refusals(node), *_refusals(node.get("items", {})))
    return " ".join((_prose(node.get("description", "")), *_fits(node), *refused))


def _fits(node: Schema) -> Iterator[str]:
    limits = [*_limits(node), *(f"each {limit}" for limit in _limits(node.get("items", {})))]
    if limits:
        yield f"{_capital('; '.join(limits))}."


def _limits(node: Schema) -> Iterator[str]:
    if "minimum" in node or "maximum" in node:
        yield _between(node.get("minimum"), node.get("maximum"))
    suffix, unit = UNITS.get(node.get("type", ""), ("", ""))
    least, most = node.get(f"min{suffix}"), node.get(f"max{suffix}")
    if suffix and (least, most) != (None, None):
        yield f"{_between(least, most)} {unit}"
    if node.get("x-kubernetes-list-type") == "set":
        yield "each once"
    if keys := node.get("x-kubernetes-list-map-keys"):
        yield f"one for each {' and '.join(f'`{key}`' for key in keys)}"
    if pattern := node.get("pattern"):
        yield WORDS.get(pattern) or f"matches `{pattern}`"


def _between(least: int | None, most: int | None) -> str:
    if least is None or (least == 0 and most is not None):
        return f"at most {most:,}"
    return f"at least {least:,}" if most is None else f"{least:,} to {most:,}"


def _refusals(node: Schema) -> Iterator[str]:
    """The sentences of the CEL rules."""
    for rule in node.get("x-kubernetes-validations", ()):
        yield f"Refused: {_prose(rule['message'])}."


def _prose(text: str) -> str:
    """Text as it is: outside of backticks nothing is taken for Markdown or HTML."""
    parts = re.split("(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([<*_\[\]])", r"\\\1", part) for part in parts)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
