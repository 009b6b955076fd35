"""The S3 server of the samples: its secrets are made here, the rest stands in manifests/samples/s3.yaml."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from local_cluster import pki
from quickstart.kubectl import Kubectl

Object = dict[str, Any]

MANIFEST = Path("manifests/samples/s3.yaml")
NAMESPACE = "s3-system"
DEPLOYMENT = "s3"
ENDPOINT = "https://s3.s3-system.svc:7070"
NAMES = ("s3", "s3.s3-system", "s3.s3-system.svc", "s3.s3-system.svc.cluster.local", "localhost")
ADDRESSES = ("127.0.0.1",)
CA_NAME = "s3-ca"
CHECKSUM = "roadstead.dev/secrets-sha256"


@dataclass(frozen=True)
class Credentials:
    """An S3 access key."""

    access_key_id: str
    secret_access_key: str = field(repr=False)

    @classmethod
    def random(cls, access_key_id: str) -> Credentials:
        return cls(access_key_id, secrets.token_urlsafe(30))

    @property
    def values(self) -> dict[str, str]:
        return {"accessKeyID": self.access_key_id, "secretAccessKey": self.secret_access_key}


def install(kubectl: Kubectl, image: str, tenant: str) -> None:
    """The server, running, with a bucket named like the tenant, which that tenant alone may use.

    `tenant` is a Kubernetes namespace; it gets a Secret `TENANT-s3` and a ConfigMap `s3-ca`. What an earlier
    call has made stays as it is, so nothing restarts. Raises QuickstartError.
    """
    server = with_image(yaml.safe_load_all(MANIFEST.read_text()), image)
    kubectl.apply(*(item for item in server if item["kind"] == "Namespace"))
    if kubectl.get("namespace", tenant) is None:
        kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": tenant}})
    made = generate(tenant)
    kept = [found for item in made if (found := kubectl.get(item["kind"], *place(item))) is not None]
    if len(kept) < len(made):  # they belong together: none of them is of use without the others
        kubectl.apply(*made)
        kept = made
    kubectl.apply(*with_checksum(server, checksum(kept)))
    kubectl.until_rolled_out([DEPLOYMENT], NAMESPACE)


def place(item: Object) -> tuple[str, str]:
    return item["metadata"]["name"], item["metadata"]["namespace"]


def generate(tenant: str) -> list[Object]:
    """New credentials, and a certificate of a CA whose key is forgotten at once, as objects to apply."""
    administrator, account = Credentials.random("administrator"), Credentials.random(tenant)
    ca = pki.authority("Roadstead sample S3 server")
    pair = pki.issue(ca, "s3", names=NAMES, addresses=ADDRESSES).files("tls")
    ca_pem = ca.files("ca")["ca.crt"].decode()
    return [
        secret("s3-root", NAMESPACE, administrator.values),
        secret("s3-accounts", NAMESPACE, {"users.json": users([account]), "buckets": f"{tenant} {tenant}\n"}),
        secret("s3-tls", NAMESPACE, {**{key: pem.decode() for key, pem in pair.items()}, "ca.crt": ca_pem}),
        secret(f"{tenant}-s3", tenant, account.values),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": CA_NAME, "namespace": tenant},
            "data": {"ca.crt": ca_pem},
        },
    ]


def users(accounts: Iterable[Credentials]) -> str:
    """The account file of versitygw's internal IAM. Role `user`: no more than the buckets that it owns."""
    entries = {
        account.access_key_id: {
            "access": account.access_key_id,
            "secret": account.secret_access_key,
            "role": "user",
            "userID": 0,
            "groupID": 0,
            "projectID": 0,
        }
        for account in accounts
    }
    return json.dumps({"accessAccounts": entries})


def secret(name: str, namespace: str, values: Mapping[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "Opaque",
        # Not stringData: with server-side apply its fields would be nobody's.
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }


def with_image(objects: Iterable[Object], image: str) -> list[Object]:
    """The sample's objects with this image in every container of the Deployment."""
    changed = copy.deepcopy(list(objects))
    for pod in pod_templates(changed):
        for container in (*pod["spec"]["initContainers"], *pod["spec"]["containers"]):
            container["image"] = image
    return changed


def with_checksum(objects: Iterable[Object], digest: str) -> list[Object]:
    """A new digest starts the pod anew: the server reads its certificate and administrator only then."""
    changed = copy.deepcopy(list(objects))
    for pod in pod_templates(changed):
        pod["metadata"].setdefault("annotations", {})[CHECKSUM] = digest
    return changed


def pod_templates(objects: Iterable[Object]) -> list[Object]:
    return [item["spec"]["template"] for item in objects if item["kind"] == "Deployment"]


def checksum(objects: Iterable[Object]) -> str:
    """Of what the objects hold, whatever the API server has added to them."""
    held = sorted(json.dumps([place(item), item["data"]], sort_keys=True) for item in objects)
    return hashlib.sha256("".join(held).encode()).hexdigest()
