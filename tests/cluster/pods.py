"""Probes in pods: servers behind a Service, and clients in zones of the test's choice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local_cluster.cluster import Cluster
from local_cluster.layout import ZONES

PROBE = "localhost/probe:1"
PORT = 8080
READINESS = {"httpGet": {"port": "http"}, "periodSeconds": 1}
Object = dict[str, Any]


def until(what: str, holds: Callable[[], bool], seconds: float) -> float:
    """How many seconds it took until it held; fails the test when they are over."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - started


def container(*argv: str) -> Object:
    """Restricted pod security, as every pod of Roadstead."""
    return {
        "name": "probe",
        "image": PROBE,
        "args": list(argv),
        "ports": [{"name": "http", "containerPort": PORT}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


@dataclass(frozen=True)
class Pods:
    """All in one Kubernetes namespace."""

    cluster: Cluster
    namespace: str

    def apply(self, *objects: Object) -> None:
        items = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.cluster.kubectl("apply", "-n", self.namespace, "-f", "-", stdin=json.dumps(items))

    def get(self, *words: str) -> Object:
        found: Object = json.loads(self.cluster.kubectl("get", "-n", self.namespace, "-o", "json", *words))
        return found

    def in_zone(self, name: str, zone: str, **labels: str) -> None:
        """A pod that serves, pinned to a zone. `wait` waits for it."""
        spec = {
            "nodeSelector": {"topology.kubernetes.io/zone": zone},
            "terminationGracePeriodSeconds": 1,
            "containers": [{**container("serve", str(PORT)), "readinessProbe": READINESS}],
        }
        metadata = {"name": name, "labels": {"name": name, **labels}}
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def everywhere(self, app: str) -> None:
        """A serving pod in each zone behind a NodePort Service, all named `app`, which every node knows."""
        for zone in ZONES:
            self.in_zone(f"{app}-{zone}", zone, app=app)
        self.service(app, type="NodePort")
        self.wait()
        self.until_endpoints(app, 3, 10)
        for zone in ZONES:
            self.until_served(f"{app}-{zone}", f"http://{app}", {f"{app}-{each}" for each in ZONES}, 10)

    def until_served(self, pod: str, url: str, servers: set[str], seconds: float) -> float:
        """Until a pod has answers from these servers, and no others."""
        return until(
            f"{url} of {pod} is served by {servers}",
            lambda: set(self.get_from(pod, url, times=30)) == servers,
            seconds,
        )

    def service(self, app: str, **spec: Any) -> None:
        ports = [{"port": 80, "targetPort": "http"}]
        metadata = {"name": app}
        spec = {"selector": {"app": app}, "ports": ports, **spec}
        self.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})

    def wait(self) -> None:
        """Until every pod is ready."""
        self.cluster.kubectl(
            "wait", "-n", self.namespace, "pod", "--all", "--for=condition=Ready", "--timeout=30s"
        )

    def endpoints(self, app: str) -> int:
        """How many endpoints of the Service are ready."""
        slices = self.get("endpointslices", "-l", f"kubernetes.io/service-name={app}")["items"]
        endpoints = [endpoint for each in slices for endpoint in each["endpoints"] or []]
        return sum(endpoint["conditions"]["ready"] for endpoint in endpoints)

    def until_endpoints(self, app: str, number: int, seconds: float) -> float:
        return until(f"{number} endpoints of {app}", lambda: self.endpoints(app) == number, seconds)

    def probe(self, pod: str, *words: str) -> list[str]:
        """What the program prints when it is run once more in a pod: a line for each question."""
        return self.cluster.kubectl("exec", "-n", self.namespace, pod, "--", "/probe", *words).splitlines()

    def get_from(self, pod: str, url: str, times: int = 1) -> list[str]:
        return self.probe(pod, "get", *[url] * times)
