"""A Registry that is planned and changed: what there is of it, who applies, and what it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry_operator.cluster.resources import KNOWN
from registry_operator.names import ANY_ACCOUNT, CONSENT

from registry_runtime.contract.credential import token_id
from tests.operator.apiserver import Object
from tests.operator.commanding import Caller
from tests.operator.operator_process import ACCOUNT, SYSTEM, Cluster, Operator, controllers, settled, wait

IMAGE = "registry.test/roadstead/registry:test"
NAMESPACES = ("pier", "jetty")
TARGETS = ("shop", "yard")
KINDS = tuple(one for one in KNOWN.values() if one.namespaced and one.kind not in {"Event", "Lease", "Pod"})
S3 = {"bucket": "harbour", "endpoint": "https://s3.test:7070", "credentialsSecretRef": {"name": "s3"}}
API = "roadstead.dev/v1alpha1"
Snapshot = dict[tuple[str, str, str], Object]  # by kind (a Namespace of Roadstead's is one), namespace, name


@dataclass
class Harbour:
    """A Registry with what it has, and who plans and applies."""

    cluster: Cluster
    operator: Operator
    caller: Caller

    def snapshot(self) -> Snapshot:
        found: Snapshot = {}
        for resource in KINDS:
            for namespace in ("port", *TARGETS):
                answer = self.cluster.server.ask("GET", resource.path(namespace))
                for obj in answer["items"]:
                    whole = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
                    found[resource.kind, namespace, obj["metadata"]["name"]] = whole
        return found

    def apply(self, obj: Object) -> None:
        kind = "Claim" if obj["kind"] == "Namespace" else obj["kind"]
        metadata = obj["metadata"]
        self.cluster.server.apply(
            self.cluster.path(kind, metadata["namespace"], metadata["name"]), obj, "kubectl"
        )

    def is_let(self, role: str) -> bool:
        """Whether the API server lets the operator write what this role of `names.CONSENT` is for."""
        resource = next(one for one in KINDS if CONSENT.get(one.kind) == role)
        attributes = {
            "namespace": "port",
            "verb": "delete",
            "group": resource.group,
            "resource": resource.plural,
        }
        user = f"system:serviceaccount:{SYSTEM}:{ACCOUNT}"
        asked = {"spec": {"user": user, "resourceAttributes": attributes}}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return bool(self.cluster.server.ask("POST", path, asked)["status"]["allowed"])

    def names(self) -> dict[str, str]:
        """AccessTokens by their ids."""
        tokens = self.cluster.list("AccessToken", "port").items()
        return {token_id(obj["metadata"]["uid"]): f"AccessToken port/{name}" for name, obj in tokens}


@contextmanager
def made(operator: Operator, folder: Path) -> Iterator[Harbour]:
    """With a garbage collector, as in a cluster."""
    cluster = Cluster(operator.server)
    for namespace in ("port", *TARGETS):
        cluster.namespace(namespace, takes="" if namespace == "yard" else ANY_ACCOUNT)
    cluster.secret("port", "s3", accessKeyID="id", secretAccessKey="key")
    caller = Caller.by_token(operator, folder, operator.server.token)
    with controllers(operator.server, operator.certificate, folder, "garbage-collector-controller"):
        found = Harbour(cluster, operator, caller)
        for obj in (registry(), *(claim(name) for name in NAMESPACES), token("deployer")):
            found.apply(obj)
        wait(lambda: cluster.policy("port").tokens)
        settled(operator)
        yield found


def resource(kind: str, name: str, spec: Object) -> Object:
    return {
        "apiVersion": API,
        "kind": kind,
        "metadata": {"name": name, "namespace": "port"},
        "spec": spec,
    }


def registry(**spec: Any) -> Object:
    return resource("Registry", "harbour", {"hostname": "harbour.example.com", "storage": {"s3": S3}} | spec)


def claim(name: str, **spec: Any) -> Object:
    return resource("Namespace", name, {"registryRef": {"name": "harbour"}, "name": name} | spec)


def token(name: str, **spec: Any) -> Object:
    rights = [{"repositories": ["pier/**"], "actions": ["pull", "push"]}]
    return resource(
        "AccessToken", name, {"registryRefs": [{"name": "harbour"}], "permissions": rights} | spec
    )


def binding(namespace: str, role: str) -> Object:
    """What the command of a condition makes."""
    account = {"kind": "ServiceAccount", "namespace": SYSTEM, "name": ACCOUNT}
    whole = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role, "namespace": namespace},
        "roleRef": whole,
        "subjects": [account],
    }
