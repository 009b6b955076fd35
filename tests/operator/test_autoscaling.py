"""The number of replicas goes to an autoscaler and comes back, and at no moment there is another one."""

from __future__ import annotations

import json

import pytest

from tests.operator.apiserver import Object
from tests.operator.operator_process import Cluster, Operator, controllers, settled, wait

pytestmark = pytest.mark.cluster
DEPLOYMENTS = "/apis/apps/v1/namespaces/followed/deployments"
CONTROLLER = "horizontal-pod-autoscaler-controller"


def replicas(cluster: Cluster) -> int:
    found = cluster.get("Deployment", "followed", "harbour")
    return int(found["spec"]["replicas"]) if found else 0


def owners(deployment: Object) -> set[str]:
    """Managers of the number of replicas."""
    return {
        field["manager"]
        for field in deployment["metadata"]["managedFields"]
        if "f:replicas" in json.dumps(field["fieldsV1"].get("f:spec", {}))
    }


def test_the_replicas_are_handed_over_and_back_without_a_dip(cluster: Cluster, operator: Operator) -> None:
    """A real autoscaler takes them over, keeps them through a change of the spec, and lets go of them."""
    cluster.namespace("followed")
    cluster.registry("followed", replicas=4)
    wait(lambda: replicas(cluster) == 4)
    settled(operator)
    version = cluster.server.ask("GET", DEPLOYMENTS)["metadata"]["resourceVersion"]

    cluster.registry("followed", replicas=4, autoscaling={"minReplicas": 3, "maxReplicas": 12})
    wait(lambda: cluster.get("HorizontalPodAutoscaler", "followed", "harbour"))
    wait(lambda: "roadstead" not in owners(cluster.get("Deployment", "followed", "harbour") or {}))
    assert replicas(cluster) == 4, "it goes on with what runs"

    at_least_six = {"minReplicas": 6, "maxReplicas": 12}
    with controllers(operator.server, operator.certificate, operator.folder, CONTROLLER):
        cluster.registry("followed", replicas=4, autoscaling=at_least_six)
        wait(lambda: replicas(cluster) == 6, 60)
        changed = {"requests": {"cpu": "50m"}}
        cluster.registry("followed", replicas=4, autoscaling=at_least_six, resources=changed)
        wait(lambda: cluster.condition("Registry", "followed", "harbour", "AutoscalingActive"))
        settled(operator)
        deployment = cluster.get("Deployment", "followed", "harbour")
        assert deployment
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        assert container["resources"]["requests"]["cpu"] == "50m"
        status = (cluster.get("Registry", "followed", "harbour") or {})["status"]
        assert status["desiredReplicas"] == 6

        cluster.registry("followed", replicas=5)
        wait(lambda: replicas(cluster) == 5)
        wait(lambda: cluster.get("HorizontalPodAutoscaler", "followed", "harbour") is None)
        settled(operator)

    numbers = [one["spec"]["replicas"] for one in cluster.server.since(DEPLOYMENTS, version)]
    assert list(dict.fromkeys(numbers)) == [4, 6, 5]


def test_a_registry_begins_with_its_own_number_under_an_autoscaler(cluster: Cluster) -> None:
    """Within the bounds, and not with the one that a Deployment has by default."""
    cluster.namespace("begun")
    cluster.registry("begun", replicas=2, autoscaling={"minReplicas": 3, "maxReplicas": 12})
    deployment = wait(lambda: cluster.get("Deployment", "begun", "harbour"))
    assert deployment["spec"]["replicas"] == 3
