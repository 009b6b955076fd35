"""What `make up` promises, looked at after it ended."""

from __future__ import annotations

import pytest

from quickstart.kubectl import Object
from quickstart.story import APPLICATION, DEPLOYMENT, NAMESPACE, REGISTRY, TENANT, TOKEN
from tests.e2e.platform import Platform, resource

pytestmark = pytest.mark.cluster


def test_a_pod_in_each_zone_runs_an_image_pulled_with_the_generated_secret(platform: Platform) -> None:
    """The kubelets pulled through the registry's own domain; without the secret they are refused."""
    pods = platform.kubectl.list("pod", "-n", APPLICATION, "-l", f"app.kubernetes.io/name={DEPLOYMENT}")
    zones = {pod["metadata"]["labels"]["topology.kubernetes.io/zone"] for pod in pods}
    assert zones == {"zone-a", "zone-b", "zone-c"}
    names = {secret["name"] for pod in pods for secret in pod["spec"]["imagePullSecrets"]}
    for name in names:
        secret = platform.kubectl.get("secret", name, APPLICATION)
        assert secret
        assert secret["type"] == "kubernetes.io/dockerconfigjson"
    pulled = platform.kubectl.list("event", "-n", APPLICATION, "--field-selector", "reason=Pulled")
    assert any("Successfully pulled" in str(event.get("message")) for event in pulled)

    platform.kubectl.apply(without_secret(pods[0]))
    try:
        platform.kubectl.until(
            "the pod without a secret is refused", lambda: _waiting(platform, "refused"), seconds=60
        )
    finally:
        platform.kubectl("delete", "pod", "refused", "-n", APPLICATION, "--grace-period=0", "--force")


def without_secret(pod: Object) -> Object:
    """The same pod, under another name, without the pull secret."""
    spec = {key: value for key, value in pod["spec"].items() if key not in ("imagePullSecrets", "nodeName")}
    metadata = {"name": "refused", "namespace": APPLICATION}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _waiting(platform: Platform, pod: str) -> bool:
    found = platform.kubectl.get("pod", pod, APPLICATION) or {}
    states = [status["state"] for status in found.get("status", {}).get("containerStatuses", [])]
    return any(
        state.get("waiting", {}).get("reason") in ("ErrImagePull", "ImagePullBackOff") for state in states
    )


def test_the_columns_are_true(platform: Platform) -> None:
    """kubectl get reg,rns,at shows what the conditions and the endpoints say."""
    platform.kubectl.until_ready("reg", REGISTRY, TENANT)
    text = platform.kubectl("get", "reg,rns,at", "-A")
    print(text)
    registry = platform.kubectl.get("reg", REGISTRY, TENANT)
    assert registry
    assert registry["status"]["observedGeneration"] == registry["metadata"]["generation"]
    assert registry["status"]["zones"] == {"zone-a": 1, "zone-b": 1, "zone-c": 1}
    for condition in ("Ready", "StorageReady", "PolicyPropagated", "ZoneRedundant", "TLSReady"):
        assert platform.condition("reg", REGISTRY, TENANT, condition)["status"] == "True", condition
    assert platform.condition("rns", NAMESPACE, TENANT, "Bound")["status"] == "True"
    assert platform.condition("at", TOKEN, TENANT, "Distributed")["status"] == "True"


def test_the_second_claim_of_a_name_is_refused(platform: Platform) -> None:
    """First claim wins: another account may not claim at all unless allowed, and then not what is taken."""
    with platform.account("rival"):
        claim = {"registryRef": {"name": REGISTRY, "namespace": TENANT}, "name": NAMESPACE}
        platform.kubectl.apply(resource("Namespace", "mine-too", "rival", claim))
        platform.until_condition("rns", "mine-too", "rival", Bound="NotAllowed")
        with platform.open_to_all():
            platform.until_condition("rns", "mine-too", "rival", Bound="NameTaken")
            assert platform.condition("rns", NAMESPACE, TENANT, "Bound")["status"] == "True"


def test_an_invalid_resource_is_refused_with_the_field(platform: Platform) -> None:
    """The API server itself says which field is wrong and what would be right; no webhook is involved."""
    wrong = resource("Registry", "wrong", TENANT, {"hostname": "wrong.test", "storage": {"s3": {
        "bucket": "b", "endpoint": "http://s3.test", "credentialsSecretRef": {"name": "x"}}}})  # fmt: skip
    with pytest.raises(Exception, match=r"(?s)insecure"):
        platform.kubectl.apply(wrong)
    assert platform.kubectl("get", "validatingwebhookconfigurations", "-o", "name").strip() == ""
