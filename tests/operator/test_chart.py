"""The Helm chart on a real API server: the objects of kustomize, and a life from install to uninstall."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from registry_operator.settings import Settings

from local_cluster.build import cache_root
from local_cluster.parts import Parts
from release import bundle
from tests.operator.apiserver import ApiServer, Object, Refusal
from tests.operator.operator_process import kubeconfig_of
from tests.operator.test_manifests import kustomized

pytestmark = pytest.mark.cluster
CHART = Path(__file__).parents[2] / "manifests" / "chart"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
DIGEST = f"sha256:{'0' * 64}"


@dataclass(frozen=True)
class Helm:
    """The real one, with a kubeconfig of the API server."""

    kubeconfig: Path

    def __call__(self, *words: str) -> str:
        """What it prints. Raises AssertionError with its complaint."""
        done = subprocess.run(
            [str(Parts(cache_root()).binary("helm")), *words],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.kubeconfig.parent)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def objects(self, *words: str) -> list[Object]:
        printed = self("template", "roadstead", str(CHART), "--namespace=roadstead-system", *words)
        return [one for one in yaml.safe_load_all(printed) if one]


@pytest.fixture(scope="module")
def server(fresh: ApiServer) -> tuple[ApiServer, Helm]:
    file = fresh.folder / "kubeconfig"
    file.write_text(json.dumps(kubeconfig_of(fresh.url, fresh.certificate, fresh.token)))
    return fresh, Helm(file)


def by_name(objects: list[Object]) -> dict[tuple[str, str], Object]:
    """Without what Kubernetes takes as absent, and what only Helm says."""
    found = {}
    for one in objects:
        (one["metadata"].get("annotations") or {}).pop("helm.sh/resource-policy", None)
        found[str(one["kind"]), str(one["metadata"]["name"])] = pruned(one)
    return found


def environment(deployment: Object) -> dict[str, str]:
    """Its variables with a value."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def pruned(value: Any) -> Any:
    if isinstance(value, dict):
        inner = {name: pruned(one) for name, one in value.items()}
        return {name: one for name, one in inner.items() if one not in ({}, [], "", None)}
    return [pruned(one) for one in value] if isinstance(value, list) else value


def test_the_chart_has_the_same_objects_as_kustomize(server: tuple[ApiServer, Helm]) -> None:
    """One source: with the default values nothing differs, but what the chart says aloud."""
    _, helm = server
    wanted = by_name([one for one in kustomized("manifests") if one["kind"] != "Namespace"])
    rendered = by_name(helm.objects())
    assert rendered.keys() == wanted.keys()
    for name, obj in rendered.items():
        if name[0] == "Deployment":
            said, meant = environment(obj), environment(wanted[name])
            assert Settings.read(said) == Settings.read(meant), "the chart says aloud what is so by default"
            assert said["LOG_LEVEL"] == "INFO"
            env = obj["spec"]["template"]["spec"]["containers"][0]["env"]
            env[:] = [one for one in env if one["name"] not in said.keys() - meant.keys()]
        assert obj == wanted[name], name


def test_images_by_digest_and_another_namespace(server: tuple[ApiServer, Helm]) -> None:
    """A digest wins over a tag; nothing names the namespace that is not used."""
    _, helm = server
    pins = [f"--set=images.{image}.digest={DIGEST}" for image in ("operator", "runtime")]
    objects = helm.objects("--namespace=platform", *pins)
    assert "roadstead-system" not in json.dumps([one for one in objects if one["kind"] != "ClusterRole"])
    (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"roadstead.dev/operator@{DIGEST}"
    assert {"name": "RUNTIME_IMAGE", "value": f"roadstead.dev/runtime@{DIGEST}"} in container["env"]


def test_a_misspelt_value_is_refused_by_name(server: tuple[ApiServer, Helm]) -> None:
    """Not ignored, as Helm does without a schema."""
    with pytest.raises(AssertionError, match="replica"):
        server[1].objects("--set=operator.replica=2")


def test_a_release_comes_changes_and_goes_and_the_registries_stay(server: tuple[ApiServer, Helm]) -> None:
    """Installed with every choice, upgraded, uninstalled: the CRDs and what is declared in them are left."""
    api, helm = server
    every = [f"--set={name}.enabled=true" for name in ("pullSecretByLabel",)]
    install = ("upgrade", "--install", "roadstead", str(CHART), "--namespace=roadstead-system")
    helm(*install, "--create-namespace", *every)
    helm(*install, "--set=operator.replicas=3")
    path = "/apis/apps/v1/namespaces/roadstead-system/deployments/roadstead-operator"
    assert api.ask("GET", path)["spec"]["replicas"] == 3
    helm("uninstall", "roadstead", "--namespace=roadstead-system")
    with pytest.raises(Refusal):
        api.ask("GET", path)
    kept = {one["metadata"]["name"] for one in api.ask("GET", CRDS)["items"]}
    assert {"registries.roadstead.dev", "namespaces.roadstead.dev", "accesstokens.roadstead.dev"} <= kept
    helm(*install)  # and again, over what was left


def test_a_bundle_installs_by_digest() -> None:
    """install.yaml is all of manifests/, and no image in it goes by a tag."""
    pins = {name: bundle.Pinned(f"example.com/roadstead/{name}", DIGEST) for name in ("operator", "runtime")}
    objects = [one for one in yaml.safe_load_all(bundle.install(pins)) if one]
    assert {(one["kind"], one["metadata"]["name"]) for one in objects} == {
        (one["kind"], one["metadata"]["name"]) for one in kustomized("manifests")
    }
    (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == pins["operator"].reference
    assert {"name": "RUNTIME_IMAGE", "value": pins["runtime"].reference} in container["env"]
