"""Deletion of Registries on a real API server: what waits, what is refused, and what never blocks."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from pathlib import Path

import pytest
from registry_operator.names import CONTENT

from tests.operator.apiserver import Object, Refusal
from tests.operator.operator_process import CRDS, ROADSTEAD, Cluster, Operator, controllers, is_deleted, wait
from tests.operator.replica import content, emptying

pytestmark = pytest.mark.cluster
MERGE = "application/merge-patch+json"
RETAIN: Object = {"spec": {"deletionPolicy": "Retain"}}
DELETION = Path("docs/deletion.md")


@pytest.fixture(scope="module", autouse=True)
def used(operator: Operator) -> tuple[str, str]:
    """Two Kubernetes namespaces, each with a Registry and a pod that runs an image of it.

    They are there before the operator looks for the first time, some seconds after its start.
    """
    cluster = Cluster(operator.server)
    for name in ("runs", "ends"):
        cluster.namespace(name)
        containers = [{"name": "app", "image": f"private.{name}.example.com/pier/app:1"}]
        pod = {"metadata": {"name": "web-0"}, "spec": {"containers": containers}}
        cluster.server.ask("POST", f"/api/v1/namespaces/{name}/pods", pod)
        cluster.registry(name, hostname=f"{name}.example.com")
    return "runs", "ends"


def held(cluster: Cluster, namespace: str) -> bool:
    found = cluster.get("Registry", namespace, "harbour")
    return found is not None and CONTENT in found["metadata"].get("finalizers", ())


def is_gone(cluster: Cluster, namespace: str) -> bool:
    return cluster.get("Registry", namespace, "harbour") is None


def reason(cluster: Cluster, namespace: str) -> str:
    return str(cluster.condition("Registry", namespace, "harbour", "Ready").get("reason"))


def patch(cluster: Cluster, namespace: str, change: Object, subresource: str = "") -> Object:
    path = f"{cluster.path('Registry', namespace, 'harbour')}{subresource}"
    return cluster.server.ask("PATCH", path, change, MERGE)


def deletable(cluster: Cluster, namespace: str) -> str:
    """A Registry that deletes its content, and holds it."""
    cluster.namespace(namespace)
    cluster.secret(namespace, "s3", accessKeyID="id", secretAccessKey="key")
    cluster.registry(namespace, deletionPolicy="Delete")
    wait(lambda: held(cluster, namespace), sentence="no finalizer")
    return namespace


def seed(folder: Path, owner: str) -> tuple[Path, Path]:
    """A marker and one upload of the owner's, and a file of somebody else's: the last two, where they lie."""
    objects = folder / "objects"
    ours, other = objects / "uploads" / str(uuid.uuid4()), objects / "notes.txt"
    for file in (ours, other):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    marker = {"version": 1, "change": "c", "format": 1, "owner": owner, "encrypted": False}
    (objects / "roadstead.json").write_text(json.dumps(marker) + "\n")
    return ours, other


def test_only_a_registry_that_deletes_waits(cluster: Cluster) -> None:
    """The default has no finalizer; the policy puts one on and takes it off, and leaves those of others."""
    cluster.namespace("keeps")
    cluster.registry("keeps")
    wait(lambda: cluster.get("Deployment", "keeps", "harbour"))
    assert not held(cluster, "keeps")
    patch(cluster, "keeps", {"metadata": {"finalizers": ["example.com/other"]}})
    patch(cluster, "keeps", {"spec": {"deletionPolicy": "Delete"}})
    wait(lambda: held(cluster, "keeps"))
    patch(cluster, "keeps", RETAIN)
    wait(lambda: not held(cluster, "keeps"))
    found = cluster.get("Registry", "keeps", "harbour")
    assert found
    assert found["metadata"]["finalizers"] == ["example.com/other"]
    patch(cluster, "keeps", {"metadata": {"finalizers": None}})
    cluster.delete("Registry", "keeps", "harbour")
    assert is_gone(cluster, "keeps")


def test_the_content_goes_first(cluster: Cluster, tmp_path: Path) -> None:
    """One pod takes the replicas' place, deletes and tells; then the Registry goes, and says what stays."""
    deletable(cluster, "empties")
    found = cluster.get("Registry", "empties", "harbour")
    assert found
    cluster.delete("Registry", "empties", "harbour")
    wait(lambda: reason(cluster, "empties") == "StoppingReplicas")
    deployment = wait(lambda: emptying_deployment(cluster, "empties"))
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert deployment["spec"]["replicas"] == 1
    ours, other = seed(content(tmp_path, 90), found["metadata"]["uid"])
    with emptying(cluster, "empties", tmp_path, 90):
        wait(lambda: is_gone(cluster, "empties"), sentence="the Registry stays")
    assert (ours.exists(), other.exists()) == (False, True)
    events = wait(partial(released, cluster, "empties"), sentence="no Event")
    assert "1 objects there are not Roadstead's and stay: notes.txt" in events[0]["note"]


def test_anothers_content_is_not_touched_and_the_way_out_is_said(cluster: Cluster, tmp_path: Path) -> None:
    """By the marker; the command in the condition lets the Registry go."""
    deletable(cluster, "foreign")
    cluster.delete("Registry", "foreign", "harbour")
    wait(lambda: emptying_deployment(cluster, "foreign"))
    ours, _ = seed(content(tmp_path, 91), "somebody-else")
    with emptying(cluster, "foreign", tmp_path, 91):
        wait(lambda: reason(cluster, "foreign") == "WrongBucket")
        message = cluster.condition("Registry", "foreign", "harbour", "Ready")["message"]
        patch_ = json.loads(message.rpartition(" -p ")[2].strip("'"))
        assert patch_ == RETAIN
        assert held(cluster, "foreign")
        patch(cluster, "foreign", patch_)
        wait(lambda: is_gone(cluster, "foreign"))
    assert ours.exists()


def test_without_the_operator_a_documented_command_lets_it_go(cluster: Cluster, operator: Operator) -> None:
    """The line of docs/deletion.md, which takes the finalizer off."""
    deletable(cluster, "orphaned")
    operator.stop()
    try:
        cluster.delete("Registry", "orphaned", "harbour")
        assert held(cluster, "orphaned")
        (line,) = [
            one
            for one in DELETION.read_text().splitlines()
            if "finalizers" in one and one.startswith("kubectl")
        ]
        patch(cluster, "orphaned", json.loads(line.rpartition(" -p ")[2].strip("'")))
        assert is_gone(cluster, "orphaned")
    finally:
        operator.ready()


def test_the_operator_may_change_nothing_else(cluster: Cluster, operator: Operator) -> None:
    """Its right to patch Registries is for its finalizer: specs, labels, others' finalizers are refused."""
    deletable(cluster, "limits")
    kubeconfig = json.loads(operator.kubeconfig().read_text())
    as_operator = replace(cluster.server, token=kubeconfig["users"][0]["user"]["token"])
    path = cluster.path("Registry", "limits", "harbour")
    changes: tuple[Object, ...] = (
        {"spec": {"deletionPolicy": "Retain"}},
        {"metadata": {"labels": {"a": "b"}}},
        {"metadata": {"annotations": {"roadstead.dev/allow-deletion": "true"}}},
        {"metadata": {"finalizers": [CONTENT, "example.com/other"]}},
    )
    for change in changes:
        with pytest.raises(Refusal, match="the operator changes nothing but") as refused:
            as_operator.ask("PATCH", path, change, MERGE)
        assert refused.value.code == HTTPStatus.FORBIDDEN
    as_operator.ask("PATCH", path, {"metadata": {"finalizers": [CONTENT]}}, MERGE)
    patch(cluster, "limits", RETAIN)  # the last test deletes the CRD, which waits for all that is held


def test_a_registry_in_use_is_not_deleted_by_accident(cluster: Cluster, used: tuple[str, str]) -> None:
    """By name and in a collection; the annotation of the sentence says that it is meant."""
    name, _ = used
    sentence = wait(lambda: refusal(cluster, name), 60, "nobody looked")
    assert "1 pod runs images of this Registry, such as web-0" in sentence
    assert f"kubectl annotate registries.roadstead.dev harbour --namespace {name}" in sentence
    with pytest.raises(Refusal, match="is in use"):
        cluster.server.ask("DELETE", f"{ROADSTEAD}/namespaces/{name}/registries")
    key, _, value = sentence.split()[-1].partition("=")
    patch(cluster, name, {"metadata": {"annotations": {key: value}}})
    cluster.delete("Registry", name, "harbour")
    assert is_gone(cluster, name)


def test_a_namespace_always_goes(
    cluster: Cluster, used: tuple[str, str], operator: Operator, tmp_path: Path
) -> None:
    """Its RoleBinding goes first, and no pod can start there: the content stays. What is in use goes, too."""
    _, name = used
    wait(lambda: refusal(cluster, name), 60, "nobody looked")
    deletable(cluster, "doomed")
    with controllers(cluster.server, operator.certificate, tmp_path, "namespace-controller"):
        for one in ("doomed", name):
            cluster.server.ask("DELETE", f"/api/v1/namespaces/{one}")
        for one in ("doomed", name):
            wait(partial(is_deleted, cluster.server, f"/api/v1/namespaces/{one}"), 60, f"{one} stays")
    assert "the content in the bucket harbour stays" in operator.log.read_text()


def test_the_crd_waits_for_the_content(cluster: Cluster, tmp_path: Path) -> None:
    """Whoever deletes it first deletes every Registry: with the operator there that ends well."""
    deletable(cluster, "uninstalled")
    owner = (cluster.get("Registry", "uninstalled", "harbour") or {})["metadata"]["uid"]
    path = f"{CRDS}/registries.roadstead.dev"
    cluster.server.ask("DELETE", path)
    wait(lambda: emptying_deployment(cluster, "uninstalled"))
    ours, _ = seed(content(tmp_path, 92), owner)
    with emptying(cluster, "uninstalled", tmp_path, 92):
        wait(partial(is_deleted, cluster.server, path), 60, "the CRD stays")
    assert not ours.exists()


def refusal(cluster: Cluster, namespace: str) -> str:
    """What a dry run of the deletion is refused with; "" where it is not."""
    try:
        cluster.server.ask("DELETE", f"{cluster.path('Registry', namespace, 'harbour')}?dryRun=All")
    except Refusal as refused:
        return refused.message if refused.code == HTTPStatus.FORBIDDEN else ""
    return ""


def emptying_deployment(cluster: Cluster, namespace: str) -> Object | None:
    found = cluster.get("Deployment", namespace, "harbour") or {}
    containers = found.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or [{}]
    return found if containers[0].get("args", [""])[0] == "empty" else None


def released(cluster: Cluster, namespace: str) -> list[Object]:
    events = cluster.server.ask("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")["items"]
    return [one for one in events if one["reason"] == "Released"]
