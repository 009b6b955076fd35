"""The Helm chart: every file of manifests/ as a template, with what differs between clusters as a value.

An expression is always one scalar, `{{ toJson .Values.x }}`: JSON is YAML, so nothing depends on indentation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from release import manifests, values
from release.manifests import Object

NAMESPACE = "roadstead-system"
GENERATED = "# Made from {source} by `make crds`: its comments stand there.\n"
HELPERS = """\
{{- define "roadstead.image" -}}
{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .version }}{{ end }}
{{- end }}
{{- define "roadstead.apiPorts" -}}
{{- $ports := list -}}
{{- range .Values.operator.apiPorts }}{{ $ports = append $ports (dict "protocol" "TCP" "port" .) }}{{ end -}}
{{ toJson $ports }}
{{- end }}
"""
NOTES = """\
Roadstead {{ .Chart.AppVersion }} runs in {{ .Release.Namespace }}.
A Kubernetes namespace that is to hold a Registry consents:

  kubectl create rolebinding roadstead-registry --namespace NAMESPACE --clusterrole=roadstead-registry \\
    --serviceaccount={{ .Release.Namespace }}:roadstead-operator

The namespace {{ .Release.Namespace }} is fit for the Pod Security level `restricted`:

  kubectl label namespace {{ .Release.Namespace }} pod-security.kubernetes.io/enforce=restricted
"""


def chart(version: str) -> dict[str, str]:
    """Every file of the chart by its path, of Chart.yaml's folder."""
    base = manifests.files(manifests.ROOT)
    deployment = next(one for file in base for one in manifests.objects(file) if one["kind"] == "Deployment")
    written = {
        "Chart.yaml": _chart(version),
        "values.yaml": values.document(deployment),
        "values.schema.json": json.dumps(values.schema(), indent=2) + "\n",
        "templates/_helpers.tpl": HELPERS,
        "templates/NOTES.txt": NOTES,
    }
    for file in base:
        condition = "crds.install" if file.parent.name == "crds" else None
        written |= _template(file, file.name, condition)
    for folder, switch in manifests.CHOICES.items():
        for file in manifests.files(manifests.ROOT / folder):
            written |= _template(file, f"{folder}-{file.name}", f"{switch}.enabled")
    return written


def _chart(version: str) -> str:
    about = {
        "apiVersion": "v2",
        "name": "roadstead",
        "description": "A container registry for every tenant of a Kubernetes platform",
        "type": "application",
        "version": version,
        "appVersion": version,
        "kubeVersion": ">=1.34.0-0",
    }
    return yaml.safe_dump(about, sort_keys=False)


def _template(file: Path, name: str, condition: str | None) -> dict[str, str]:
    found = [one for one in manifests.objects(file) if one["kind"] != "Namespace" or "spec" in one]
    if not found:
        return {}  # the release's own namespace is Helm's
    text = "---\n".join(template(one) for one in found)
    if condition:
        text = f"{{{{- if .Values.{condition} }}}}\n{text}{{{{- end }}}}\n"
    source = file.relative_to(manifests.ROOT.parent)
    return {f"templates/{name}": GENERATED.format(source=source) + text}


def template(obj: Object) -> str:
    """One object in Helm's template language. Raises ValueError for what Helm would take for its own."""
    plain = yaml.safe_dump(obj, sort_keys=False)
    if "{{" in plain:
        raise ValueError(f"{obj['kind']} {obj['metadata']['name']}: {{{{ is Helm's")
    expressions: list[str] = []

    def placed(expression: str) -> str:
        expressions.append(expression)
        return f"HELM{len(expressions) - 1}HELM"

    text = yaml.dump(_with_values(obj, placed), Dumper=_Dumper, sort_keys=False, width=110)
    return re.sub(r"HELM(\d+)HELM", lambda found: f"{{{{ {expressions[int(found[1])]} }}}}", text)


def _with_values(obj: Object, placed: Callable[[str], str]) -> Object:
    obj = _renamed(obj, placed)
    if obj["kind"] == "CustomResourceDefinition":
        # To delete a CRD deletes every Registry: an uninstall of the operator must not.
        kept = {"helm.sh/resource-policy": "keep"}
        obj["metadata"]["annotations"] = obj["metadata"].get("annotations", {}) | kept
    for path, expression in values.places(obj):
        _put(obj, path, placed(expression))
    return obj


def _renamed(part: Any, placed: Callable[[str], str]) -> Any:
    """A copy, with the release's namespace for ours."""
    if isinstance(part, dict):
        return {name: _renamed(value, placed) for name, value in part.items()}
    if isinstance(part, list):
        return [_renamed(value, placed) for value in part]
    if isinstance(part, str) and NAMESPACE in part:
        return part.replace(NAMESPACE, placed(".Release.Namespace"))
    return part


def _put(obj: Any, path: tuple[str | int, ...], value: str) -> None:
    *way, last = path
    for step in way:
        obj = obj[step]
    obj[last] = value


class _Dumper(yaml.SafeDumper):
    """Text of several lines stays readable, and no anchors."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def write(folder: Path, version: str) -> Iterator[Path]:
    """Writes the chart, and removes what is no longer of it; the paths that were written."""
    wanted = {folder / name: text for name, text in chart(version).items()}
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        yield path
    for path in {one for one in folder.rglob("*") if one.is_file()} - wanted.keys():
        path.unlink()
