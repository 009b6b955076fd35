"""A bucket that does not serve is a condition with its remedy, and mends without a touch."""

from __future__ import annotations

from typing import Any

import pytest

from quickstart.story import REGISTRY, TENANT
from tests.e2e.platform import Platform, resource

pytestmark = pytest.mark.cluster


def registry_like_the_sample(platform: Platform, name: str, **storage: Any) -> dict[str, Any]:
    """Another Registry on the sample's S3 server, one replica, with some of its storage changed."""
    sample = platform.kubectl.get("reg", REGISTRY, TENANT)
    assert sample
    s3 = {**sample["spec"]["storage"]["s3"], "prefix": f"{name}/", **storage}
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
