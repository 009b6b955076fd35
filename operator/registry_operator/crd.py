"""The CRDs, printed from the models: `python -m registry_operator.crd DIRECTORY`.

Pydantic's JSON schema becomes a structural one: references are put in place, titles and nulls go, limits
stay (the API server refuses CEL rules over lists and strings without a bound).
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from registry_operator.models.base import GROUP, VERSION, rules
from registry_operator.models.kinds import KINDS, Column, Kind

Schema = dict[str, Any]
KEPT = {
    "type", "description", "enum", "format", "pattern", "default", "minimum", "maximum", "minLength",
    "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
}  # fmt: skip


def crd(kind: Kind) -> Schema:
    """The CustomResourceDefinition."""
    subresources: Schema = {"status": {}}
    if kind.scale:
        subresources["scale"] = {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema(kind)},
        "subresources": subresources,
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
        "selectableFields": [{"jsonPath": path} for path in kind.selectable],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.name, "labels": {"app.kubernetes.io/part-of": "roadstead"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [kind.short],
                "categories": ["roadstead"],
            },
            "versions": [version],
        },
    }


def schema(kind: Kind) -> Schema:
    """An object without status is Current to kstatus: -1 says that nobody has looked yet."""
    status = structural(kind.status.model_json_schema(mode="serialization"))
    return {
        "type": "object",
        "description": kind.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(kind.spec.model_json_schema()),
            "status": {**status, "default": {"observedGeneration": -1}},
        },
        **(rules(*kind.rules) if kind.rules else {}),
    }


def structural(document: Mapping[str, Any]) -> Schema:
    """A structural schema of a JSON schema as pydantic makes it."""
    return _structural(document, document.get("$defs", {}))


def _structural(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    node = _resolved(node, definitions)
    made = {key: value for key, value in node.items() if key in KEPT or key.startswith("x-kubernetes-")}
    if "const" in node:
        made["enum"] = [node["const"]]
    if made.get("x-kubernetes-int-or-string"):
        made.pop("type", None)  # the extension takes its place
    if "default" in made:
        made["default"] = _said(made["default"])
        if made["default"] in (None, [], ""):
            del made["default"]
    if "properties" in node:
        made["properties"] = {
            name: _structural(value, definitions) for name, value in node["properties"].items()
        }
        made |= {"required": node["required"]} if node.get("required") else {}
    if "items" in node:
        made["items"] = _structural(node["items"], definitions)
    if isinstance(node.get("additionalProperties"), dict):
        made["additionalProperties"] = _structural(node["additionalProperties"], definitions)
    return made


def _resolved(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """References and `X or null` in place; what stands beside them wins."""
    beside = {key: value for key, value in node.items() if key not in ("$ref", "anyOf", "allOf")}
    if "$ref" in node:
        definition = definitions[node["$ref"].rpartition("/")[2]]
        return {**_resolved(definition, definitions), **beside}
    for choices in (node.get("anyOf"), node.get("allOf")):
        real = [choice for choice in choices or () if choice.get("type") != "null"]
        if real:
            return {**_resolved(real[0], definitions), **beside}
    return beside


def _said(value: Any) -> Any:
    """A default without what says nothing; an empty object is a choice (`selfSigned: {}`) and stays."""
    if isinstance(value, dict):
        return {key: _said(inner) for key, inner in value.items() if inner not in (None, [], "")}
    return value


def _column(column: Column) -> Schema:
    made: Schema = {"name": column.name, "type": column.type, "jsonPath": column.path}
    return {**made, "priority": 1} if column.wide else made


class _Plain(yaml.SafeDumper):
    """No anchors: what is equal is written twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def document(kind: Kind) -> str:
    """The file's content."""
    head = "# Printed from operator/registry_operator/models by `python -m registry_operator.crd crds`.\n"
    return head + yaml.dump(crd(kind), Dumper=_Plain, sort_keys=False, width=110, allow_unicode=True)


def write(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        (directory / f"{kind.name}.yaml").write_text(document(kind))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
