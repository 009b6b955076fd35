"""The operator is killed, restarted, and left without rights."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from quickstart.kubectl import Object
from quickstart.story import REGISTRY, TENANT
from tests.e2e.platform import OPERATOR, OPERATORS, Platform

pytestmark = pytest.mark.cluster
OWNED = "app.kubernetes.io/managed-by=roadstead"
WRITTEN = ("generation", "labels", "annotations", "finalizers")
KINDS = "deployment,service,configmap,secret,serviceaccount,role,rolebinding,pdb,networkpolicy"


def versions(platform: Platform) -> dict[str, Any]:
    """What tells whether an object was written, of all that the operator writes, custom resources too.

    Of a token that is the whole of it without its last use, which goes on being told while replicas live; of
    a Registry without which images run: a new operator looks at once, and pods of others came and went.
    """
    found = platform.kubectl.list(KINDS, "-A", "-l", OWNED) + platform.kubectl.list("reg,rns,at", "-A")
    return {
        f"{each['kind']} {each['metadata']['namespace']}/{each['metadata']['name']}": _version(each)
        for each in found
    }


def _version(obj: Object) -> Any:
    if obj["kind"] == "AccessToken":
        status = {key: value for key, value in obj["status"].items() if key != "lastUsedAt"}
        return _declared(obj), status
    if obj["kind"] == "Registry":
        conditions = [one for one in obj["status"]["conditions"] if one["type"] != "InUse"]
        return _declared(obj), obj["status"] | {"conditions": conditions}
    if obj["kind"] == "Deployment":
        return obj["metadata"]["generation"]  # its status is written by others
    return obj["metadata"]["resourceVersion"]


def _declared(obj: Object) -> Any:
    return {key: obj["metadata"].get(key) for key in WRITTEN}, obj["spec"]


def test_a_restart_of_the_operator_writes_nothing(platform: Platform) -> None:
    """A new operator finds everything as it should be."""
    platform.kubectl.until_ready("reg", REGISTRY, TENANT)
    time.sleep(3)
    before = versions(platform)
    with platform.without_operator():
        pass
    time.sleep(10)
    assert versions(platform) == before


def test_the_operator_killed_in_the_middle_is_completed_by_the_next(platform: Platform) -> None:
    """Tokens are applied while operators die at random moments; in the end each one logs in everywhere."""
    name, namespace = OPERATOR
    for round_ in range(3):
        for number in range(5):
            platform.kubectl.apply(platform.token(f"killed-{round_}-{number}"))
        time.sleep(random.uniform(0, 0.5))
        platform.kubectl("delete", "pod", "-n", namespace, "-l", OPERATORS, "--grace-period=0", "--force")
    platform.kubectl.until_rolled_out([name], namespace)
    for round_ in range(3):
        for number in range(5):
            platform.kubectl.until_ready("at", f"killed-{round_}-{number}", TENANT, 60)
    platform.kubectl("delete", "at", "-n", TENANT, *(f"killed-{r}-{n}" for r in range(3) for n in range(5)))


def test_a_target_namespace_without_consent_is_a_condition_with_the_command(platform: Platform) -> None:
    """The pull secret waits for consent, the condition prints the commands, and running them is enough."""
    platform.kubectl("create", "namespace", "unasked")
    try:
        platform.kubectl.apply(
            platform.token("asking", pullSecrets={"name": "asking-pull", "namespaces": ["unasked"]})
        )
        found = platform.until_condition("at", "asking", TENANT, Distributed="False")
        message = found["Distributed"]["message"]
        assert "kubectl create rolebinding" in message
        assert f"pull-secrets-from.roadstead.dev/{TENANT}=true" in message
        for command in [line for line in message.splitlines() if line.startswith("kubectl ")]:
            platform.kubectl(*command.split()[1:])
        platform.until_condition("at", "asking", TENANT, Distributed="True", seconds=15)
        assert platform.kubectl.get("secret", "asking-pull", "unasked")

        platform.kubectl.apply(platform.token("asking"))
        platform.kubectl.until(
            "the unwanted pull secret goes",
            lambda: platform.kubectl.get("secret", "asking-pull", "unasked") is None,
            seconds=15,
        )
    finally:
        platform.kubectl("delete", "at", "asking", "-n", TENANT, "--ignore-not-found")
        platform.kubectl("delete", "namespace", "unasked", "--timeout=60s")


def test_drift_is_repaired(platform: Platform) -> None:
    """A child that somebody edits or deletes is as it was within seconds."""
    platform.kubectl("delete", "service", f"{REGISTRY}-private", "-n", TENANT)
    platform.kubectl.until(
        "the Service is back",
        lambda: platform.kubectl.get("service", f"{REGISTRY}-private", TENANT) is not None,
        seconds=15,
    )
    platform.kubectl(
        "patch", "pdb", REGISTRY, "-n", TENANT, "--type=merge", "-p", '{"spec":{"maxUnavailable":2}}'
    )
    platform.kubectl.until(
        "the PodDisruptionBudget is as it was",
        lambda: (platform.kubectl.get("pdb", REGISTRY, TENANT) or {})["spec"]["maxUnavailable"] == 1,
        seconds=15,
    )
    platform.story.publish(platform.kubectl)  # the new Service has another ClusterIP
