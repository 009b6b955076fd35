"""What is kept of an object, and whether it still is what was applied."""

from typing import Any

import pytest
from registry_operator import names, seen
from registry_operator.models import Key
from registry_operator.observed import Autoscaler, Consent, PlacedEntry, ServiceAccount
from registry_operator.reconcile.drift import covers

LABELS = {names.NAME: names.RUNTIME, names.INSTANCE: "harbour"}


def deployment(**status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "harbour",
            "namespace": "shop",
            "uid": "uid",
            "resourceVersion": "5",
            "generation": 4,
            "labels": LABELS,
            "annotations": {names.RENDERED: "abc"},
            "ownerReferences": [{"uid": "owner"}],
            "managedFields": [{"manager": "roadstead"}],
        },
        "spec": {"replicas": 3},
        "status": status,
    }


def test_a_child_without_what_others_write_into_it() -> None:
    """managedFields are the most of an object; the status has its own place."""
    child = seen.child(deployment(replicas=3, observedGeneration=4))
    assert child is not None
    assert child.registry == Key("shop", "harbour")
    assert (child.rendered, child.owners) == ("abc", ("owner",))
    assert "managedFields" not in child.document["metadata"]
    assert "status" not in child.document
    assert child.rollout is not None
    assert (child.rollout.generation, child.rollout.observed_generation) == (4, 4)


def test_the_status_alone_is_no_drift() -> None:
    """A rollout that goes on changes the Rollout, not the content."""
    before, after = seen.child(deployment(replicas=1)), seen.child(deployment(replicas=3))
    assert before is not None
    assert after is not None
    assert before.content == after.content
    assert before.rollout != after.rollout


def test_a_stuck_rollout_says_why() -> None:
    """The message of the Deployment's own condition."""
    progressing = {"type": "Progressing", "status": "False", "message": "deadline exceeded"}
    child = seen.child(deployment(conditions=[progressing]))
    assert child is not None
    assert child.rollout is not None
    assert child.rollout.stuck == "deadline exceeded"


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ([], Autoscaler(5, active=None)),
        ([("AbleToScale", "True", "x")], Autoscaler(5, active=None)),
        ([("AbleToScale", "True", "x"), ("ScalingActive", "True", "x")], Autoscaler(5, active=True)),
        ([("ScalingActive", "False", "x")], Autoscaler(5, active=False, message="because")),
        ([("AbleToScale", "False", "x")], Autoscaler(5, active=False, message="because")),
        (
            [("ScalingActive", "True", "x"), ("ScalingLimited", "True", "TooManyReplicas")],
            Autoscaler(5, active=True, limit="TooManyReplicas"),
        ),
    ],
)
def test_what_an_autoscaler_decided(conditions: list[tuple[str, str, str]], found: Autoscaler) -> None:
    """Its number and whether it knows what it goes by; not the figures, which change all the time."""
    said = [
        {"type": kind, "status": status, "reason": reason, "message": "because"}
        for kind, status, reason in conditions
    ]
    metrics = [{"type": "ContainerResource"}]
    status = {"desiredReplicas": 5, "conditions": said, "currentMetrics": metrics}
    assert seen.autoscaler({"status": status}) == found


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}, "ImagePullBackOff"),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, None),
        ({"containerStatuses": [{"state": {"running": {}}}]}, None),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]},
            "Unschedulable",
        ),
        ({}, None),
    ],
)
def test_why_a_pod_waits(status: dict[str, Any], reason: str | None) -> None:
    """Being on the way is no reason."""
    metadata = {"name": "a", "namespace": "shop", "uid": "uid", "resourceVersion": "5", "labels": LABELS}
    pod = seen.pod({"metadata": metadata, "status": status})
    assert pod is not None
    assert (pod.waiting.reason if pod.waiting else None) == reason


def test_endpoints_of_a_slice() -> None:
    """The pod, its zone, whether it serves, and where it is."""
    ready = {"ready": False, "serving": True, "terminating": True}
    found = seen.endpoint_slice(
        {
            "metadata": {"name": "x", "namespace": "shop", "labels": LABELS | {seen.SERVICE: "harbour"}},
            "endpoints": [
                {
                    "addresses": ["10.0.0.1"],
                    "zone": "zone-a",
                    "conditions": ready,
                    "targetRef": {"kind": "Pod", "name": "pod-a"},
                },
                {"addresses": ["10.0.0.9"]},
            ],
        }
    )
    assert found is not None
    (endpoint,) = found.endpoints
    assert (endpoint.pod, endpoint.zone, endpoint.address) == ("pod-a", "zone-a", "10.0.0.1")
    assert (endpoint.ready, endpoint.serving, endpoint.terminating) == (False, True, True)


def test_only_the_two_cluster_roles_are_consent() -> None:
    """A Role of the same name, made by somebody in the namespace, is none."""

    def given(kind: str, name: str) -> Consent | None:
        return seen.consent({"metadata": {"uid": "uid"}, "roleRef": {"kind": kind, "name": name}})

    assert given("ClusterRole", "roadstead-secrets")
    assert given("ClusterRole", "roadstead-registry")
    assert given("Role", "roadstead-secrets") is None
    assert given("ClusterRole", "view") is None


def test_a_consent_names_accounts_by_annotations() -> None:
    """true takes; anything else does not. The grant is the same whoever is named."""
    role = {"kind": "ClusterRole", "name": "roadstead-secrets"}
    named = {"pull-secrets-from.roadstead.dev/shop": "true", "pull-secrets-from.roadstead.dev/All": "no"}
    annotations = {**named, "roadstead.dev/other": "true"}
    found = seen.consent({"metadata": {"uid": "uid", "annotations": annotations}, "roleRef": role})
    bare = seen.consent({"metadata": {"uid": "uid"}, "roleRef": role})
    assert found
    assert bare
    assert (found.accounts, bare.accounts) == ({"shop": True, "All": False}, {})
    assert found.grant == bare.grant


def test_a_service_account_is_kept_in_few_words() -> None:
    """The names in its list, and which of them tokens placed; an odd annotation is nobody's."""
    annotations = {
        "image-pull-secrets.roadstead.dev/uid-1": "pull AccessToken harbour/deployer",
        "image-pull-secrets.roadstead.dev/uid-2": "",
        "other": "x",
    }
    which = {"name": "default", "namespace": "shop", "uid": "uid", "resourceVersion": "7"}
    metadata = {**which, "annotations": annotations}
    found = seen.service_account({"metadata": metadata, "imagePullSecrets": [{"name": "pull"}, {}]})
    assert found == ServiceAccount(
        "7",
        ("pull", ""),
        {"uid-1": PlacedEntry("pull", "AccessToken harbour/deployer"), "uid-2": PlacedEntry("", "")},
        "uid",
    )
    assert seen.service_account({"metadata": which}) == ServiceAccount("7", uid="uid")


@pytest.mark.parametrize(
    ("have", "want", "same"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),  # defaults of the API server
        ({"a": 2}, {"a": 1}, False),
        ({}, {"a": 1}, False),
        ({"a": [1, 2]}, {"a": [1]}, False),  # somebody added to a list of ours
        ({"a": [{"n": 1, "d": 0}]}, {"a": [{"n": 1}]}, True),
        ({}, {"a": {}}, True),  # empty values are dropped by the API server
        ({}, {"a": []}, True),
        ({}, {"a": ""}, True),
        ({"a": True}, {"a": 1}, False),
        ({"a": "1"}, {"a": 1}, False),
        (None, {"a": "b"}, False),
    ],
)
def test_what_covers_what(have: Any, want: Any, same: bool) -> None:
    """Everything that was applied still stands there; what others added does not matter."""
    assert covers(have, want) is same


def test_what_has_our_labels_may_be_anybodys() -> None:
    """A Deployment with a volume of the same name, of another kind; an endpoint of no name."""
    found = deployment()
    found["spec"]["template"] = {"spec": {"volumes": [{"name": "tls", "emptyDir": {}}]}}
    child = seen.child(found)
    assert child is not None
    assert child.rollout is not None
    assert child.rollout.certificate == ""
    assert seen._endpoint({"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod"}}) is None
