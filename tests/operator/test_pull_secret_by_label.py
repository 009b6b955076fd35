"""manifests/pull-secret-by-label on a real API server, which decides it all by itself."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import pytest
import yaml

from local_cluster.build import cache_root
from local_cluster.parts import Parts
from tests.operator.apiserver import ApiServer, Object
from tests.operator.operator_process import wait

pytestmark = pytest.mark.cluster
COMPONENT = Path(__file__).parents[2] / "manifests" / "pull-secret-by-label"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
LABEL = "roadstead.dev/pull-secret"


@pytest.fixture(scope="module")
def server(fresh: ApiServer) -> ApiServer:
    """With the component as an overlay includes it, and one namespace with the label, one without."""
    for obj in overlay(fresh.folder / "overlay"):
        plural = {"MutatingAdmissionPolicy": "mutatingadmissionpolicies"}.get(
            obj["kind"], f"{obj['kind'].lower()}s"
        )
        fresh.ask("POST", f"{ADMISSION}/{plural}?fieldValidation=Strict", obj)
    for name, labels in (("labelled", {LABEL: "robot-pull"}), ("empty", {LABEL: ""}), ("other", {})):
        fresh.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    wait(lambda: names(pod(fresh, "labelled")), sentence="the policy never came into force")
    return fresh


def overlay(folder: Path) -> list[Object]:
    """What kustomize makes of an overlay that names nothing but the component."""
    folder.mkdir()
    component = Path(*[".."] * len(folder.resolve().parts[1:]), *COMPONENT.resolve().parts[1:])
    kind = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kind | {"components": [str(component)]}))
    kubectl = str(Parts(cache_root()).binary("kubectl"))
    printed = subprocess.run([kubectl, "kustomize", str(folder)], check=True, capture_output=True)
    return list(yaml.safe_load_all(printed.stdout))


def pod(server: ApiServer, namespace: str, *secrets: str, **annotations: str) -> Object:
    """As the API server would store it."""
    body = {
        "metadata": {"generateName": "any-", "annotations": annotations},
        "spec": {
            "containers": [{"name": "any", "image": "any"}],
            **({"nodeName": "any"} if annotations else {}),
            **({"imagePullSecrets": [{"name": name} for name in secrets]} if secrets else {}),
        },
    }
    return server.ask("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", body)


def names(pod: Object) -> list[str]:
    return [one["name"] for one in pod["spec"].get("imagePullSecrets") or ()]


@pytest.mark.parametrize(
    ("there", "stored"),
    [
        ((), ["robot-pull"]),
        (("regcred",), ["regcred", "robot-pull"]),
        (("robot-pull", "regcred"), ["robot-pull", "regcred"]),
        (("regcred", "regcred"), ["regcred", "regcred", "robot-pull"]),
    ],
)
def test_a_pod_gets_the_pull_secret_of_its_namespace_once(
    server: ApiServer, there: tuple[str, ...], stored: list[str]
) -> None:
    """Beside what it names itself, in the order that it names it in."""
    assert names(pod(server, "labelled", *there)) == stored


def test_pods_of_other_namespaces_are_as_they_were_made(server: ApiServer) -> None:
    """Without the label, and with one that names nothing."""
    for namespace in ("other", "empty"):
        assert names(pod(server, namespace)) == []
        assert names(pod(server, namespace, "regcred")) == ["regcred"]


def test_a_label_counts_from_when_it_is_there(server: ApiServer) -> None:
    """Set, changed and taken away; pods that are made afterwards follow."""
    server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "changing"}})
    assert names(pod(server, "changing")) == []
    for value, wanted in (("one", ["one"]), ("two", ["two"]), (None, [])):
        change: Object = {"metadata": {"labels": {LABEL: value}}}
        server.ask("PATCH", "/api/v1/namespaces/changing", change, "application/merge-patch+json")
        wait(partial(is_so, server, wanted), sentence=f"{wanted}")


def is_so(server: ApiServer, wanted: list[str]) -> bool:
    return names(pod(server, "changing")) == wanted


def test_a_pod_that_is_changed_or_shown_by_a_kubelet_is_let_alone(server: ApiServer) -> None:
    """Only the making of a pod is looked at; and the mirror of a static pod says what its file says."""
    mirror = {"kubernetes.io/config.mirror": "x"}
    assert names(pod(server, "labelled", **mirror)) == []
    made = server.ask(
        "POST",
        "/api/v1/namespaces/other/pods",
        {"metadata": {"name": "old"}, "spec": {"containers": [{"name": "any", "image": "any"}]}},
    )
    labels: Object = {"metadata": {"labels": {LABEL: "robot-pull"}}}
    for path in ("/api/v1/namespaces/other", "/api/v1/namespaces/other/pods/old"):
        changed = server.ask("PATCH", path, labels, "application/merge-patch+json")
    assert changed["spec"] == made["spec"]
