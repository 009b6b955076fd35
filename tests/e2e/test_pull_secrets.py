"""Pods whose manifests name no pull secret: by their ServiceAccount, and by a label of their namespace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quickstart.kubectl import Object
from quickstart.story import DEPLOYMENT, TENANT
from tests.e2e.platform import Platform, consent
from tests.e2e.pods import deployment, only_pod, until_refused

pytestmark = pytest.mark.cluster
POLICY = Path(__file__).parents[2] / "manifests" / "pull-secret-by-label" / "policy.yaml"
FLEET = {"fleet": "convoy"}


def application(namespace: str) -> list[Object]:
    """A namespace of the fleet, a ServiceAccount, and the sample Deployment: one pod, and no pull secret."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": FLEET}},
        account | {"metadata": {"name": "sailor", "namespace": namespace}},
        deployment(namespace, serviceAccountName="sailor"),
    ]


@contextmanager
def cleared(platform: Platform, *namespaces: str) -> Iterator[None]:
    try:
        yield
    finally:
        platform.kubectl("delete", "-f", str(POLICY), "--ignore-not-found")
        platform.kubectl("delete", "at", "convoy", "-n", TENANT, "--ignore-not-found")
        platform.kubectl("delete", "namespace", *namespaces, "--ignore-not-found", "--timeout=60s")


def until_in_force(platform: Platform) -> None:
    """An API server takes a moment to know a new admission policy; in a cluster it is there long before."""
    kubectl = platform.kubectl
    labels = {"roadstead.dev/pull-secret": "told"}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tender", "labels": labels}})
    kubectl.until("it has a ServiceAccount", lambda: bool(kubectl.get("sa", "default", "tender")))
    probe = ("run", "probe", "-n", "tender", "--image=none", "--dry-run=server", "-o", "json")
    kubectl.until("the policy is in force", lambda: "imagePullSecrets" in json.loads(kubectl(*probe))["spec"])


def test_all_in_one_apply_and_the_secret_later(platform: Platform) -> None:
    """The pod that was made first of all runs as soon as its Secret is there: no restart, no second pod."""
    with cleared(platform, "schooner", "tender"):
        platform.kubectl("apply", "-f", str(POLICY))
        until_in_force(platform)
        platform.kubectl.apply(platform.token("convoy", pullSecrets={"selector": {"matchLabels": FLEET}}))
        namespace, *rest = application("schooner")
        namespace["metadata"]["labels"] = FLEET | {"roadstead.dev/pull-secret": "convoy-pull"}
        platform.kubectl.apply(namespace, *rest)
        first = until_refused(platform, "schooner")
        assert first["spec"]["imagePullSecrets"] == [{"name": "convoy-pull"}]
        assert platform.kubectl.get("secret", "convoy-pull", "schooner") is None

        platform.kubectl.apply(consent("schooner"))
        platform.kubectl.until_rolled_out([DEPLOYMENT], "schooner")
        last = only_pod(platform, "schooner")
        assert last["metadata"]["uid"] == first["metadata"]["uid"]
        assert last["status"]["containerStatuses"][0]["restartCount"] == 0


def test_pods_of_a_service_account_pull_with_what_it_names(platform: Platform) -> None:
    """Neither pod nor namespace names a Secret; when the token is gone, the ServiceAccount names none."""
    with cleared(platform, "brig"):
        namespace, account, sailing = application("brig")
        platform.kubectl.apply(namespace, account, consent("brig"))
        pulls = {"selector": {"matchLabels": FLEET}, "serviceAccounts": ["default", "sailor"]}
        platform.kubectl.apply(platform.token("convoy", pullSecrets=pulls))
        platform.until_condition("at", "convoy", TENANT, Distributed="True", Ready="True")
        platform.kubectl.apply(sailing)
        platform.kubectl.until_rolled_out([DEPLOYMENT], "brig")
        assert only_pod(platform, "brig")["spec"]["imagePullSecrets"] == [{"name": "convoy-pull"}]

        platform.kubectl("delete", "at", "convoy", "-n", TENANT)
        platform.kubectl.until(
            "the ServiceAccounts name nothing",
            lambda: not any("imagePullSecrets" in one for one in platform.kubectl.list("sa", "-n", "brig")),
            seconds=15,
        )
