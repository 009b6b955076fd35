"""S3 servers of tests, in pods: one Deployment and one Service each, in the tenant's namespace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from quickstart.kubectl import Object
from quickstart.story import TENANT
from tests.e2e.platform import Platform

PORT = 7070
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@contextmanager
def server(platform: Platform, name: str, container: Object, files: dict[str, str]) -> Iterator[str]:
    """Its endpoint inside the cluster. `files` are read at /files, and /data may be written to."""
    platform.kubectl.apply(*objects(name, container, files))
    try:
        platform.kubectl.until_rolled_out([name], TENANT)
        yield f"http://{name}.{TENANT}.svc:{PORT}"
    finally:
        platform.kubectl("delete", "deployment,service,configmap", name, "-n", TENANT)


def objects(name: str, container: Object, files: dict[str, str]) -> list[Object]:
    metadata = {"name": name, "namespace": TENANT}
    labels = {"app.kubernetes.io/name": name}
    pod = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "server",
                "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
                "securityContext": RESTRICTED,
                "volumeMounts": [
                    {"name": "files", "mountPath": "/files"},
                    {"name": "data", "mountPath": "/data"},
                ],
                **container,
            }
        ],
        "volumes": [{"name": "files", "configMap": {"name": name}}, {"name": "data", "emptyDir": {}}],
    }
    spec = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    ports = {"selector": labels, "ports": [{"port": PORT}]}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": files},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": ports},
    ]


def from_secret(secret: str, **keys: str) -> list[dict[str, Any]]:
    """Variables of a container, each with a value of the Secret."""
    return [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        for variable, key in keys.items()
    ]
