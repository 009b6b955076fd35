"""metrics-server on the local cluster's control plane: what an autoscaler reads CPU from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from local_cluster import parts
from local_cluster.control_plane import API
from local_cluster.daemon import Daemon
from local_cluster.layout import CONTROL_PLANE_ADDRESS
from tests.e2e.platform import Platform

_NAME, _NAMESPACE, _PORT = "metrics-server", "kube-system", 4443


def start(stage: Platform, folder: Path) -> None:
    """Returns when the API server has the metrics of some pod. `folder` is for what it reads and writes."""
    wanted = [part for part in parts.BENCHMARKS if part.name == _NAME]
    parts.build(stage.cluster.parts.root, print, wanted)
    stage.kubectl.apply(*_objects())
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(_kubeconfig(stage, folder)))
    argv = (
        str(stage.cluster.parts.binary(_NAME)),
        *(f"--{use}kubeconfig={kubeconfig}" for use in ("", "authentication-", "authorization-")),
        f"--secure-port={_PORT}",
        f"--cert-dir={folder}",
        "--kubelet-insecure-tls",
        "--kubelet-preferred-address-types=InternalIP",
        "--metric-resolution=15s",
    )
    stage.cluster.machine("control-plane").start(Daemon(_NAME, argv))
    stage.kubectl.until("metrics of pods", lambda: bool(_metrics(stage)), seconds=180)


def _metrics(stage: Platform) -> list[Any]:
    found = json.loads(stage.kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/pods"))
    return list(found["items"])


def _kubeconfig(stage: Platform, folder: Path) -> dict[str, Any]:
    """As a ServiceAccount with every right: the cluster is the benchmark's own."""
    trust = stage.kubectl.get("configmap", "kube-root-ca.crt", _NAMESPACE) or {}
    (folder / "ca.crt").write_text(trust["data"]["ca.crt"])
    token = stage.kubectl("create", "token", _NAME, "-n", _NAMESPACE, "--duration=24h").strip()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "own", "cluster": {"server": API, "certificate-authority": str(folder / "ca.crt")}}
        ],
        "users": [{"name": "own", "user": {"token": token}}],
        "contexts": [{"name": "own", "context": {"cluster": "own", "user": "own"}}],
        "current-context": "own",
    }


def _objects() -> list[dict[str, Any]]:
    """The API server finds it by a Service whose endpoint is the control plane."""
    place = {"name": _NAME, "namespace": _NAMESPACE}
    rbac = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": place},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": _NAME},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", **place}],
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": place,
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": _PORT}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**place, "labels": {"kubernetes.io/service-name": _NAME}},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": _PORT}],
            "endpoints": [{"addresses": [CONTROL_PLANE_ADDRESS]}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": True,
                "service": place,
            },
        },
    ]
