"""The S3 server of the samples, on the real cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from local_cluster.cluster import Cluster
from local_cluster.images import existing
from quickstart import s3
from quickstart.kubectl import Kubectl
from tests.s3_server import s3_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.cluster

TENANT = "harbour"


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Iterator[Kubectl]:
    image = existing(cluster.parts, "versitygw")
    cluster.load([image.archive])
    kubectl = Kubectl(str(cluster.parts.binary("kubectl")), cluster.kubeconfig)
    s3.install(kubectl, image.reference, TENANT)
    yield kubectl
    kubectl("delete", "--wait=false", "namespace", s3.NAMESPACE, TENANT)
    kubectl("delete", "--wait=false", "persistentvolume", "s3-data")


@pytest.fixture(scope="module")
def endpoint(cluster: Cluster, kubectl: Kubectl) -> str:
    return f"https://{cluster.forward('127.0.0.1:0', 's3.s3-system:7070')}"


@pytest.fixture
def tenant(kubectl: Kubectl, endpoint: str, tmp_path: Path) -> S3Client:
    """The bucket as the tenant reaches it: by the Secret and the ConfigMap in its own namespace."""
    authority = tmp_path / "ca.crt"
    found = kubectl.get("configmap", s3.CA_NAME, TENANT)
    assert found is not None
    authority.write_text(found["data"]["ca.crt"])
    credentials = kubectl.secret(f"{TENANT}-s3", TENANT)
    return s3_client(
        endpoint,
        credentials["accessKeyID"],
        credentials["secretAccessKey"],
        authority,
        retries={"total_max_attempts": 1},
        connect_timeout=2,
        read_timeout=5,  # of a connection to what lost its power nobody says that it is gone
    )


def uid(kubectl: Kubectl) -> str:
    (pod,) = kubectl.list("pods", "-n", s3.NAMESPACE)
    return str(pod["metadata"]["uid"])


def test_the_tenant_has_its_bucket_and_no_other(tenant: S3Client) -> None:
    """Once the Deployment is ready the bucket takes conditional writes, and the account is confined to it."""
    tenant.put_object(Bucket=TENANT, Key="first", Body=b"1", IfNoneMatch="*")

    with pytest.raises(ClientError, match="PreconditionFailed"):
        tenant.put_object(Bucket=TENANT, Key="first", Body=b"2", IfNoneMatch="*")
    with pytest.raises(ClientError, match="AccessDenied"):
        tenant.create_bucket(Bucket="another")


def test_installing_again_restarts_nothing(cluster: Cluster, kubectl: Kubectl) -> None:
    """`make up` on what is up already keeps credentials, certificate and pod."""
    before = uid(kubectl), kubectl.secret(f"{TENANT}-s3", TENANT)

    s3.install(kubectl, existing(cluster.parts, "versitygw").reference, TENANT)

    assert (uid(kubectl), kubectl.secret(f"{TENANT}-s3", TENANT)) == before


def test_objects_outlive_the_pod_and_the_node(cluster: Cluster, kubectl: Kubectl, tenant: S3Client) -> None:
    """What was acknowledged is there after the pod was deleted, and after the node lost its power."""
    tenant.put_object(Bucket=TENANT, Key="kept", Body=b"for long", Metadata={"by": "harbour"})

    kubectl("delete", "pods", "--all", "-n", s3.NAMESPACE)
    kubectl.until_rolled_out([s3.DEPLOYMENT], s3.NAMESPACE)
    assert read(tenant, "kept") == (b"for long", {"by": "harbour"})

    cluster.crash("zone-a")
    cluster.boot("zone-a")
    assert read(tenant, "kept") == (b"for long", {"by": "harbour"})


def read(tenant: S3Client, key: str, seconds: float = 120) -> tuple[bytes, Any]:
    """An object, once the server answers again."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = tenant.get_object(Bucket=TENANT, Key=key)
            return found["Body"].read(), found["Metadata"]
        except BotoCoreError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
