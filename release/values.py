"""What of the manifests differs between clusters: the chart's values, their schema, and where each stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from release.manifests import CHOICES, Object

POD = ("spec", "template", "spec")
CONTAINER = (*POD, "containers", 0)
Path = tuple[str | int, ...]

TEXT = """\
# Images: a digest, where there is one, is what runs; else the tag (default: the chart's appVersion).
images:
  operator: {operator}
  runtime: {runtime} # what Registries run
  pullSecrets: [] # names of Secrets of the release's namespace, as {{name: …}}; Registries name their own

operator:
  replicas: {replicas} # a Lease decides which one works
  logLevel: INFO
  apiPorts: [443, 6443] # where pods reach the API server, behind its Service too
  upgrades: {{soakSeconds: 600, patienceSeconds: 900, percent: 5}} # of a fleet: docs/upgrades.md
  resources: {resources}
  nodeSelector: {{}}
  affinity: {{}}
  tolerations: {tolerations}
  priorityClassName: "" # system-cluster-critical, for one

crds:
  install: true # and they stay when the release is uninstalled: with a CRD every Registry would go
"""
UPGRADES = {
    "UPGRADE_SOAK_SECONDS": "soakSeconds",
    "UPGRADE_PATIENCE_SECONDS": "patienceSeconds",
    "UPGRADE_PERCENT": "percent",
}
CHOICE = """
{switch}:
  enabled: false # manifests/{folder}
"""


def document(deployment: Object) -> str:
    """values.yaml, with the defaults that stand in the Deployment."""
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    text = TEXT.format(
        operator=_image(container["image"]),
        runtime=_image(_variable(container, "RUNTIME_IMAGE")),
        replicas=deployment["spec"]["replicas"],
        resources=_flow(container["resources"]),
        tolerations=_flow(deployment["spec"]["template"]["spec"].get("tolerations", [])),
    )
    choices = (CHOICE.format(switch=switch, folder=folder) for folder, switch in CHOICES.items())
    return text + "".join(choices)


def places(obj: Object) -> Iterator[tuple[Path, str]]:
    """Where in an object an expression of Helm replaces what stands there."""
    if obj["kind"] == "Deployment":
        yield from _deployment(obj)
    if obj["kind"] == "NetworkPolicy":
        for number, rule in enumerate(obj["spec"].get("egress") or ()):
            if "to" not in rule and {port["port"] for port in rule["ports"]} == {443, 6443}:
                yield ("spec", "egress", number, "ports"), 'include "roadstead.apiPorts" .'


def _deployment(obj: Object) -> Iterator[tuple[Path, str]]:
    yield ("spec", "replicas"), "toJson .Values.operator.replicas"
    for field in ("nodeSelector", "affinity", "tolerations", "priorityClassName"):
        yield (*POD, field), f"toJson .Values.operator.{field}"
    yield (*POD, "imagePullSecrets"), "toJson .Values.images.pullSecrets"
    yield (*CONTAINER, "image"), _reference("operator")
    yield (*CONTAINER, "resources"), "toJson .Values.operator.resources"
    env = obj["spec"]["template"]["spec"]["containers"][0]["env"]
    more = {"LOG_LEVEL": ".Values.operator.logLevel", "API_PORTS": 'join "," .Values.operator.apiPorts'}
    more |= {name: f'printf "%d" (int .Values.operator.upgrades.{value})' for name, value in UPGRADES.items()}
    env += [{"name": name} for name in more if name not in {one["name"] for one in env}]
    for number, one in enumerate(env):
        if one["name"] == "RUNTIME_IMAGE":
            yield (*CONTAINER, "env", number, "value"), _reference("runtime")
        elif one["name"] in more:
            yield (*CONTAINER, "env", number, "value"), f"{more[one['name']]} | toJson"


def _reference(image: str) -> str:
    wanted = f'(dict "image" .Values.images.{image} "version" .Chart.AppVersion)'
    return f'include "roadstead.image" {wanted} | toJson'


def schema() -> Object:
    """JSON schema of the values: what is misspelt is refused by `helm install`, with its name."""
    text: Object = {"type": "string"}
    anything: Object = {"type": "object"}
    number: Object = {"type": "integer", "minimum": 1}
    image = _closed(
        repository={"type": "string", "minLength": 1},
        tag=text,
        digest={"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    )
    named = _closed(name=text)
    operator = _closed(
        replicas={"type": "integer", "minimum": 0},
        logLevel={"enum": ["DEBUG", "INFO", "WARNING", "ERROR"]},
        apiPorts={
            "type": "array",
            "minItems": 1,
            "items": {"type": "integer", "minimum": 1, "maximum": 65535},
        },
        upgrades=_closed(soakSeconds=number, patienceSeconds=number, percent={**number, "maximum": 100}),
        resources=anything,
        nodeSelector=anything,
        affinity=anything,
        tolerations={"type": "array", "items": anything},
        priorityClassName=text,
    )
    flag: Object = {"type": "boolean"}
    whole = _closed(
        images=_closed(operator=image, runtime=image, pullSecrets={"type": "array", "items": named}),
        operator=operator,
        crds=_closed(install=flag),
        **{switch: _closed(enabled=flag) for switch in CHOICES.values()},
    )
    whole["properties"]["global"] = anything  # Helm's own, of a chart that is part of another
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}


def _closed(**properties: Object) -> Object:
    return {"type": "object", "additionalProperties": False, "properties": dict(properties)}


def _image(reference: str) -> str:
    repository, _, tag = reference.rpartition(":")
    return _flow({"repository": repository, "tag": "", "digest": ""} if tag else {"repository": reference})


def _variable(container: Object, name: str) -> str:
    return next(str(one["value"]) for one in container["env"] if one["name"] == name)


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).strip()
