"""A bucket that does not serve is a condition with its remedy, and mends without a touch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quickstart.story import REGISTRY, TENANT
from tests.e2e.own import OwnRegistry
from tests.e2e.platform import Platform
from tests.e2e.servers import from_secret, server

pytestmark = pytest.mark.cluster
SCRIPT = Path(__file__).with_name("weak_s3.py")
UPSTREAM = {"name": "UPSTREAM", "value": "https://s3.s3-system.svc:7070"}
SMALL = {"replicas": 1, "zones": {"minimum": 1}}
UNFIT: dict[str, tuple[dict[str, Any], str]] = {
    "nowhere": ({"endpoint": "https://s3.nowhere.test:7070"}, "BucketUnreachable"),
    "empty": ({"bucket": "no-such-bucket"}, "BucketNotFound"),
    "shared": ({"prefix": ""}, "WrongBucket"),
    "unsealed": ({"serverSideEncryption": {"type": "SSE-S3"}}, "ServerSideEncryptionIgnored"),
    "weak": ({"insecure": True}, "ConditionalWritesUnsupported"),
    "keyless": ({"credentialsSecretRef": {"name": "keyless-s3"}}, "SecretNotFound"),
}


@pytest.fixture(scope="module", autouse=True)
def unfit(platform: Platform) -> Iterator[None]:
    """Registries whose buckets cannot serve, all at once: each test looks at one."""
    kubectl = platform.kubectl
    runtime = platform.replicas()[0]["spec"]["containers"][0]["image"]
    keys = from_secret("harbour-s3", ACCESS_KEY="accessKeyID", SECRET_KEY="secretAccessKey")
    careless = {"image": runtime, "command": ["python3", "/files/weak_s3.py"], "env": [UPSTREAM, *keys]}
    with server(platform, "weak-s3", careless, {"weak_s3.py": SCRIPT.read_text()}) as endpoint:
        for name, (storage, _) in UNFIT.items():
            there = {"endpoint": endpoint} if name == "weak" else {}
            OwnRegistry(platform, name, name).declare({**storage, **there}, **SMALL)
        try:
            yield
        finally:
            kubectl("delete", *(f"reg/{name}" for name in UNFIT), "-n", TENANT)
            kubectl("delete", "secret/keyless-s3", "-n", TENANT, "--ignore-not-found")


def secret(name: str, **values: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": TENANT},
        "stringData": values,
    }


@pytest.mark.parametrize("name", UNFIT)
def test_a_bucket_that_cannot_serve_is_a_condition(platform: Platform, name: str) -> None:
    """Unreachable, absent, another Registry's, or not keeping its word: the reason says which."""
    found = platform.until_condition("reg", name, TENANT, StorageReady=UNFIT[name][1], seconds=90)
    assert found["StorageReady"]["message"]
    assert found["Ready"]["status"] == "False"


def test_a_missing_then_wrong_then_right_secret(platform: Platform) -> None:
    """Each state of the credentials has its reason, and the right ones make the Registry ready unaided."""
    right = platform.kubectl.secret("harbour-s3", TENANT)
    found = platform.until_condition("reg", "keyless", TENANT, StorageReady="SecretNotFound")
    assert "keyless-s3" in found["StorageReady"]["message"]

    platform.kubectl.apply(secret("keyless-s3", accessKeyID="wrong", secretAccessKey="wrong"))
    found = platform.until_condition("reg", "keyless", TENANT, StorageReady="AccessDenied", seconds=90)
    assert found["Ready"]["status"] == "False"

    platform.kubectl.apply(secret("keyless-s3", **right))
    platform.until_condition("reg", "keyless", TENANT, Ready="True", seconds=90)


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
