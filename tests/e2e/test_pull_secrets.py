"""Pods whose manifests name no pull secret: by their ServiceAccount, and by a label of their namespace."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from quickstart.kubectl import Object
from quickstart.story import DEPLOYMENT, SAMPLES, TENANT
from tests.e2e.platform import Platform, consent

pytestmark = pytest.mark.cluster
POLICY = Path(__file__).parents[2] / "manifests" / "pull-secret-by-label" / "policy.yaml"
FLEET = {"fleet": "convoy"}


def application(namespace: str) -> list[Object]:
    """A namespace of the fleet, a ServiceAccount, and the sample Deployment: one pod, and no pull secret."""
    documents = yaml.safe_load_all((SAMPLES / "app.yaml").read_text())
    deployment = copy.deepcopy(next(one for one in documents if one["kind"] == "Deployment"))
    deployment["metadata"]["namespace"] = namespace
    deployment["spec"]["replicas"] = 1
    pod = deployment["spec"]["template"]["spec"]
    del pod["imagePullSecrets"], pod["topologySpreadConstraints"]
    pod["serviceAccountName"] = "sailor"
    account = {"apiVersion": "v1", "kind": "ServiceAccount"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": FLEET}},
        account | {"metadata": {"name": "sailor", "namespace": namespace}},
        deployment,
    ]


def pod(platform: Platform, namespace: str) -> Object:
    """The only one that there ever was."""
    found = platform.kubectl.list("pod", "-n", namespace)
    assert len(found) <= 1
    return found[0] if found else {}


def waits(pod: Object) -> str:
    states = [one["state"] for one in pod.get("status", {}).get("containerStatuses", ())]
    return str(states[0].get("waiting", {}).get("reason", "")) if states else ""


@contextmanager
def cleared(platform: Platform, *namespaces: str) -> Iterator[None]:
    try:
        yield
    finally:
        platform.kubectl("delete", "-f", str(POLICY), "--ignore-not-found")
        platform.kubectl("delete", "at", "convoy", "-n", TENANT, "--ignore-not-found")
        platform.kubectl("delete", "namespace", *namespaces, "--ignore-not-found", "--timeout=60s")


def test_all_in_one_apply_and_the_secret_later(platform: Platform) -> None:
    """The pod that was made first of all runs as soon as its Secret is there: no restart, no second pod."""
    with cleared(platform, "schooner"):
        platform.kubectl("apply", "-f", str(POLICY))
        platform.kubectl.apply(platform.token("convoy", pullSecrets={"selector": {"matchLabels": FLEET}}))
        namespace, *rest = application("schooner")
        namespace["metadata"]["labels"] = FLEET | {"roadstead.dev/pull-secret": "convoy-pull"}
        platform.kubectl.apply(namespace, *rest)
        platform.kubectl.until(
            "the kubelet is refused",
            lambda: waits(pod(platform, "schooner")) in {"ErrImagePull", "ImagePullBackOff"},
            seconds=60,
        )
        first = pod(platform, "schooner")
        assert first["spec"]["imagePullSecrets"] == [{"name": "convoy-pull"}]
        assert platform.kubectl.get("secret", "convoy-pull", "schooner") is None

        platform.kubectl.apply(consent("schooner"))
        platform.kubectl.until_rolled_out([DEPLOYMENT], "schooner")
        last = pod(platform, "schooner")
        assert last["metadata"]["uid"] == first["metadata"]["uid"]
        assert last["status"]["containerStatuses"][0]["restartCount"] == 0


def test_pods_of_a_service_account_pull_with_what_it_names(platform: Platform) -> None:
    """Neither pod nor namespace names a Secret; when the token is gone, the ServiceAccount names none."""
    with cleared(platform, "brig"):
        namespace, account, deployment = application("brig")
        platform.kubectl.apply(namespace, account, consent("brig"))
        pulls = {"selector": {"matchLabels": FLEET}, "serviceAccounts": ["default", "sailor"]}
        platform.kubectl.apply(platform.token("convoy", pullSecrets=pulls))
        platform.until_condition("at", "convoy", TENANT, Distributed="True", Ready="True")
        platform.kubectl.apply(deployment)
        platform.kubectl.until_rolled_out([DEPLOYMENT], "brig")
        assert pod(platform, "brig")["spec"]["imagePullSecrets"] == [{"name": "convoy-pull"}]

        platform.kubectl("delete", "at", "convoy", "-n", TENANT)
        platform.kubectl.until(
            "the ServiceAccounts name nothing",
            lambda: not any("imagePullSecrets" in one for one in platform.kubectl.list("sa", "-n", "brig")),
            seconds=15,
        )
