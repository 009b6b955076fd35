"""One pod of the sample application in a namespace of its own, and how its kubelet fares."""

from __future__ import annotations

import copy
from typing import Any

import yaml

from quickstart.kubectl import Object
from quickstart.story import SAMPLES
from tests.e2e.platform import Platform


def deployment(namespace: str, **spec: Any) -> Object:
    """The sample Deployment with one replica; `spec` is for its pod, instead of the sample's pull secret."""
    documents = yaml.safe_load_all((SAMPLES / "app.yaml").read_text())
    found: Object = copy.deepcopy(next(one for one in documents if one["kind"] == "Deployment"))
    found["metadata"]["namespace"] = namespace
    found["spec"]["replicas"] = 1
    pod = found["spec"]["template"]["spec"]
    del pod["imagePullSecrets"], pod["topologySpreadConstraints"]
    pod.update(spec)
    return found


def only_pod(platform: Platform, namespace: str) -> Object:
    """The only one that there ever was; {} before."""
    found = platform.kubectl.list("pod", "-n", namespace)
    assert len(found) <= 1
    return found[0] if found else {}


def until_refused(platform: Platform, namespace: str) -> Object:
    """The pod, when its kubelet could not pull."""
    platform.kubectl.until(
        "the kubelet is refused",
        lambda: _waits(only_pod(platform, namespace)) in {"ErrImagePull", "ImagePullBackOff"},
        seconds=60,
    )
    return only_pod(platform, namespace)


def _waits(pod: Object) -> str:
    states = [one["state"] for one in pod.get("status", {}).get("containerStatuses", ())]
    return str(states[0].get("waiting", {}).get("reason", "")) if states else ""
