"""A bucket that does not serve is a condition with its remedy, and mends without a touch."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from quickstart.story import REGISTRY, TENANT
from tests.e2e.platform import Platform, resource

pytestmark = pytest.mark.cluster
SCRIPT = Path(__file__).with_name("weak_s3.py")


def registry_like_the_sample(platform: Platform, name: str, **storage: Any) -> dict[str, Any]:
    """Another Registry on the sample's S3 server, one replica, with some of its storage changed."""
    sample = platform.kubectl.get("reg", REGISTRY, TENANT)
    assert sample
    s3 = {**sample["spec"]["storage"]["s3"], "prefix": f"{name}-{uuid.uuid4()}/", **storage}
    small = {"replicas": 1, "zones": {"minimum": 1}}
    return resource(
        "Registry", name, TENANT, {"hostname": f"{name}.roadstead.test", **small, "storage": {"s3": s3}}
    )


def secret(name: str, **values: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": TENANT},
        "stringData": values,
    }


def test_a_missing_then_wrong_then_right_secret(platform: Platform) -> None:
    """Each state of the credentials has its reason, and the right ones make the Registry ready unaided."""
    right = platform.kubectl.secret("harbour-s3", TENANT)
    platform.kubectl.apply(
        registry_like_the_sample(platform, "keyless", credentialsSecretRef={"name": "keyless-s3"})
    )
    try:
        found = platform.until_condition("reg", "keyless", TENANT, StorageReady="SecretNotFound")
        assert "keyless-s3" in found["StorageReady"]["message"]

        platform.kubectl.apply(secret("keyless-s3", accessKeyID="wrong", secretAccessKey="wrong"))
        found = platform.until_condition("reg", "keyless", TENANT, StorageReady="AccessDenied", seconds=90)
        assert found["Ready"]["status"] == "False"

        platform.kubectl.apply(secret("keyless-s3", **right))
        platform.until_condition("reg", "keyless", TENANT, Ready="True", seconds=90)
    finally:
        platform.kubectl("delete", "reg/keyless", "-n", TENANT)
        platform.kubectl("delete", "secret/keyless-s3", "-n", TENANT, "--ignore-not-found")


@pytest.mark.parametrize(
    ("name", "storage", "reason"),
    [
        ("nowhere", {"endpoint": "https://s3.nowhere.test:7070"}, "BucketUnreachable"),
        ("empty", {"bucket": "no-such-bucket"}, "BucketNotFound"),
        ("shared", {"prefix": ""}, "WrongBucket"),
    ],
)
def test_a_bucket_that_cannot_serve_is_a_condition(
    platform: Platform, name: str, storage: dict[str, str], reason: str
) -> None:
    """Unreachable, absent, or another Registry's: the reason says which, the message says the remedy."""
    platform.kubectl.apply(registry_like_the_sample(platform, name, **storage))
    try:
        found = platform.until_condition("reg", name, TENANT, StorageReady=reason, seconds=90)
        assert found["StorageReady"]["message"]
        assert found["Ready"]["status"] == "False"
    finally:
        platform.kubectl("delete", f"reg/{name}", "-n", TENANT)


def test_a_bucket_that_goes_away_is_noticed_and_its_return_too(platform: Platform) -> None:
    """Under a Ready Registry the S3 server stops: the condition says so, and mends when it is back."""
    platform.kubectl.until_ready("reg", REGISTRY, TENANT)
    platform.kubectl("scale", "deployment", "s3", "-n", "s3-system", "--replicas=0")
    try:
        found = platform.until_condition(
            "reg", REGISTRY, TENANT, StorageReady="BucketUnreachable", seconds=90
        )
        assert found["Ready"]["status"] == "False"
    finally:
        platform.kubectl("scale", "deployment", "s3", "-n", "s3-system", "--replicas=1")
    platform.until_condition("reg", REGISTRY, TENANT, Ready="True", seconds=90)


def test_a_bucket_without_conditional_writes_is_refused(platform: Platform) -> None:
    """A server that says yes to If-None-Match and does not keep it is found out by racing it."""
    weak = weak_s3(platform.kubectl.list("pod", "-n", TENANT)[0]["spec"]["containers"][0]["image"])
    platform.kubectl.apply(*weak)
    platform.kubectl.until_rolled_out(["weak-s3"], TENANT)
    endpoint = {"endpoint": "http://weak-s3.harbour.svc:7070", "insecure": True}
    registry = registry_like_the_sample(platform, "weak", **endpoint)
    platform.kubectl.apply(registry)
    try:
        found = platform.until_condition(
            "reg", "weak", TENANT, StorageReady="ConditionalWritesUnsupported", seconds=90
        )
        assert found["Ready"]["status"] == "False"
    finally:
        platform.kubectl("delete", "reg/weak", "-n", TENANT)
        platform.kubectl("delete", "deployment,service,configmap", "weak-s3", "-n", TENANT)


def weak_s3(image: str) -> list[dict[str, Any]]:
    """The careless server: the runtime's image has all that its script needs."""
    name = {"name": "weak-s3", "namespace": TENANT}
    labels = {"app.kubernetes.io/name": "weak-s3"}
    keys = {"ACCESS_KEY": "accessKeyID", "SECRET_KEY": "secretAccessKey"}
    container = {
        "name": "weak-s3",
        "image": image,
        "command": ["python3", "/weak/weak_s3.py"],
        "env": [
            {"name": "UPSTREAM", "value": "https://s3.s3-system.svc:7070"},
            *(
                {"name": variable, "valueFrom": {"secretKeyRef": {"name": "harbour-s3", "key": key}}}
                for variable, key in keys.items()
            ),
        ],
        "readinessProbe": {"tcpSocket": {"port": 7070}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "script", "mountPath": "/weak"}],
    }
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "script", "configMap": {"name": "weak-s3"}}],
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": name,
            "data": {"weak_s3.py": SCRIPT.read_text()},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": name,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": name,
            "spec": {"selector": labels, "ports": [{"port": 7070}]},
        },
    ]
