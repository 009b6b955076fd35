"""docs/examples: Argo CD and Flux are told what is in the repository, and wait for what exists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from registry_operator import names
from registry_operator.crd import crd
from registry_operator.models.kinds import KINDS
from registry_operator.settings import Settings

from tests.documents import DOCS, ROOT

EXAMPLES = DOCS / "examples"
TENANTS = EXAMPLES / "tenants"
Object = dict[str, Any]


def documents(path: str) -> list[Object]:
    """Of a file, or of all files below a folder."""
    place = EXAMPLES / path
    files = sorted(place.rglob("*.yaml")) if place.is_dir() else [place]
    return [one for file in files for one in yaml.safe_load_all(file.read_text())]


def of(kind: str, path: str, group: str = "") -> dict[str, Object]:
    """By name."""
    found = [one for one in documents(path) if one.get("kind") == kind and group in one["apiVersion"]]
    return {one["metadata"]["name"]: one for one in found}


def unknown(document: Any, schema: Object, path: str = "") -> Iterator[str]:
    """Fields that the CRD does not have."""
    if isinstance(document, list):
        for one in document:
            yield from unknown(one, schema.get("items", {}), f"{path}[]")
    elif isinstance(document, dict) and (fields := schema.get("properties")):
        for name, value in document.items():
            if name not in fields:
                yield f"{path}.{name}"
            else:
                yield from unknown(value, fields[name], f"{path}.{name}")


def test_every_resource_of_ours_has_known_fields_only() -> None:
    """And every kind is shown; a real API server takes them, too (tests/operator/test_crds.py)."""
    ours = [one for one in documents(".") if one.get("apiVersion") == "roadstead.dev/v1alpha1"]
    schemas = {
        kind.kind: crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        for kind in KINDS
    }
    assert {one["kind"] for one in ours} == schemas.keys()
    for one in ours:
        assert not list(unknown(one["spec"], schemas[one["kind"]], one["kind"]))


def test_argo_cd_installs_what_is_there() -> None:
    """The folder, the image and the patch's place; CRDs are neither pruned nor deleted."""
    source = of("Application", "argo-cd/operator.yaml")["roadstead"]["spec"]["source"]
    assert (ROOT / source["path"] / "kustomization.yaml").exists()
    manifest = next(
        one
        for one in yaml.safe_load_all((ROOT / source["path"] / "operator.yaml").read_text())
        if one["kind"] == "Deployment"
    )
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    (image,) = source["kustomize"]["images"]
    assert image.partition("=")[0] == container["image"].partition(":")[0]
    deployment, definitions = source["kustomize"]["patches"]
    assert deployment["target"] == {"kind": "Deployment", "name": manifest["metadata"]["name"]}
    (change,) = yaml.safe_load(deployment["patch"])
    assert change["path"] == "/spec/template/spec/containers/0/env/0/value"
    assert container["env"][0]["name"] == "RUNTIME_IMAGE"
    assert "Prune=false,Delete=false" in definitions["patch"]


def test_a_folder_is_a_tenant() -> None:
    """The ApplicationSet's path; and no kustomization sets a namespace, which would rename ours."""
    (generator,) = of("ApplicationSet", "argo-cd/tenants.yaml")["tenants"]["spec"]["generators"]
    assert generator["git"]["directories"] == [{"path": "tenants/*"}]
    for folder in TENANTS.iterdir():
        assert (folder / "kustomization.yaml").exists()
    for file in TENANTS.rglob("kustomization.yaml"):
        written = yaml.safe_load(file.read_text())
        assert "namespace" not in written
        for name in written["resources"]:
            assert (file.parent / name).exists(), name


def test_flux_waits_for_what_is_there() -> None:
    """Each folder, each dependency and each object that is waited for; nothing is moved elsewhere."""
    steps = of("Kustomization", "flux/fleet.yaml")
    assert (ROOT / "manifests" / "chart" / "Chart.yaml").exists()
    (release,) = of("HelmRelease", "flux/operator.yaml").values()
    assert release["spec"]["chart"]["spec"]["chart"] == "./manifests/chart"
    there = {
        (one["kind"], one["metadata"]["name"], one["metadata"].get("namespace"))
        for one in documents(".")
        if "metadata" in one
    }
    for step in steps.values():
        spec = step["spec"]
        assert "targetNamespace" not in spec
        assert {one["name"] for one in spec.get("dependsOn", ())} <= steps.keys()
        assert spec.get("wait") or spec["healthChecks"]
        if spec["path"].startswith("./tenants/"):
            assert (EXAMPLES / spec["path"] / "kustomization.yaml").exists()
        for one in spec.get("healthChecks", ()):
            assert (one["kind"], one["name"], one["namespace"]) in there


def test_flux_sets_values_that_the_chart_has() -> None:
    """At every depth."""
    (release,) = of("HelmRelease", "flux/operator.yaml").values()
    values = yaml.safe_load((ROOT / "manifests" / "chart" / "values.yaml").read_text())
    assert_within(release["spec"]["values"], values)


def assert_within(given: Any, known: Any) -> None:
    if isinstance(given, dict):
        for name, value in given.items():
            assert_within(value, known[name])


def test_the_tenant_consents_as_the_operator_asks() -> None:
    """The role and the account of the command that a condition would print."""
    (binding,) = of("RoleBinding", "tenants/harbour/registry").values()
    assert binding["roleRef"]["name"] == names.REGISTRY_ROLE == binding["metadata"]["name"]
    settings = Settings(image="x")
    (subject,) = binding["subjects"]
    assert (subject["namespace"], subject["name"]) == (settings.namespace, settings.service_account)


def test_every_file_is_linked() -> None:
    """docs/gitops.md leads to each folder, and to each file for a tool."""
    page = (DOCS / "gitops.md").read_text()
    for file in [*(EXAMPLES / "argo-cd").iterdir(), *(EXAMPLES / "flux").iterdir(), *TENANTS.iterdir()]:
        assert f"]({Path('examples') / file.relative_to(EXAMPLES)})" in page, file.name
