"""Objects of the API server → what the operator keeps of them. Everything else is dropped at once."""

import json
import sys
import zlib
from collections.abc import Mapping
from typing import Any

from registry_operator import names
from registry_operator.children import Child, Pod, Request, Slice
from registry_operator.models import Key, Release
from registry_operator.models.release import PULL_POLICY
from registry_operator.observed import (
    Autoscaler,
    Consent,
    Endpoint,
    KubernetesNamespace,
    PlacedEntry,
    Reported,
    Rollout,
    ServiceAccount,
    Waiting,
)

SERVICE = "kubernetes.io/service-name"  # label of an EndpointSlice
CONSENT = {("ClusterRole", role) for role in (names.SECRETS_ROLE, names.REGISTRY_ROLE)}
REPORTING = frozenset({"Certificate", "Ingress", "HTTPRoute", "TLSRoute", "BackendTLSPolicy"})
CERTIFICATE_VOLUME = "tls"  # of the Deployment's template
PLACED_AS_POD_WAITS = frozenset({"PodInitializing", "ContainerCreating"})
Object = Mapping[str, Any]


def key_of(obj: Object) -> Key:
    """Its name, and its namespace: "" where it is of none."""
    metadata = obj["metadata"]
    return Key(metadata.get("namespace") or "", metadata["name"])


def child(obj: Object) -> Child | None:
    """A child of a Registry; None where the label that names the Registry is missing."""
    metadata = obj["metadata"]
    labels = metadata.get("labels") or {}
    if names.INSTANCE not in labels:
        return None
    key = key_of(obj)
    return Child(
        kind=obj["kind"],
        key=key,
        uid=metadata["uid"],
        registry=Key(key.namespace, labels[names.INSTANCE]),
        rendered=(metadata.get("annotations") or {}).get(names.RENDERED, ""),
        content=_deflated(document(obj)),
        owners=owners(obj),
        rollout=rollout(obj) if obj["kind"] == "Deployment" else None,
        autoscaler=autoscaler(obj) if obj["kind"] == "HorizontalPodAutoscaler" else None,
        resource_version=metadata["resourceVersion"],
        reported=reported(obj) if obj["kind"] in REPORTING else None,
    )


def document(obj: Object) -> dict[str, Any]:
    """What drift is looked for in: the object without what the API server and others write into it."""
    metadata = {name: obj["metadata"].get(name) for name in ("labels", "annotations", "ownerReferences")}
    rest = {name: value for name, value in obj.items() if name not in {"metadata", "status"}}
    return {"metadata": metadata, **rest}


def _deflated(document: Object) -> bytes:
    """Of equal documents the same; a quarter of its size, for a tenth of a millisecond."""
    return zlib.compress(json.dumps(document, sort_keys=True, separators=(",", ":")).encode(), 1)


def owners(obj: Object) -> tuple[str, ...]:
    """UIDs, of which each is one text in memory: a Registry has twenty children, a set has 216 bytes."""
    return tuple(sys.intern(owner["uid"]) for owner in obj["metadata"].get("ownerReferences") or ())


def reported(obj: Object) -> Reported:
    metadata = obj["metadata"]
    made = metadata.get("creationTimestamp") or ""
    return Reported(metadata.get("generation", 0), made, obj.get("status") or {})


def rollout(obj: Object) -> Rollout:
    status = obj.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    stuck = [
        conditions[kind].get("message", "")
        for kind, bad in (("ReplicaFailure", "True"), ("Progressing", "False"))
        if kind in conditions and conditions[kind]["status"] == bad
    ]
    return Rollout(
        rendered=(obj["metadata"].get("annotations") or {}).get(names.RENDERED, ""),
        generation=obj["metadata"].get("generation", 0),
        observed_generation=status.get("observedGeneration", 0),
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        available=status.get("availableReplicas", 0),
        stuck=stuck[0] if stuck else "",
        wanted=(obj.get("spec") or {}).get("replicas", 1),
        release=release(obj),
        certificate=_certificate(obj),
    )


def autoscaler(obj: Object) -> Autoscaler:
    """What an autoscaler decided; not the figures that it goes by, which change all the time."""
    status = obj.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    limited = conditions.get("ScalingLimited", {})
    faults = [
        one
        for one in (conditions.get("AbleToScale"), conditions.get("ScalingActive"))
        if one and one["status"] == "False"
    ]
    return Autoscaler(
        wanted=status.get("desiredReplicas", 0),
        active=not faults if "ScalingActive" in conditions or faults else None,
        message=faults[0].get("message", "") if faults else "",
        limit=limited.get("reason", "") if limited.get("status") == "True" else "",
    )


def release(deployment: Object) -> Release | None:
    """What its annotation says; of one from before there was any: its image, in the first template."""
    said = Release.parse((deployment["metadata"].get("annotations") or {}).get(names.RUNS))
    containers = deployment.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or ()
    if said or not containers:
        return said
    first = containers[0]
    return Release(first.get("image", ""), 1, first.get("imagePullPolicy", PULL_POLICY))


def _certificate(deployment: Object) -> str:
    volumes = deployment["spec"].get("template", {}).get("spec", {}).get("volumes") or ()
    found = (one.get("secret") or {} for one in volumes if one["name"] == CERTIFICATE_VOLUME)
    return str(next(found, {}).get("secretName", ""))


def request(obj: Object) -> Request | None:
    """A CertificateRequest, which has the labels of its Certificate."""
    metadata = obj["metadata"]
    instance = (metadata.get("labels") or {}).get(names.INSTANCE)
    return Request(Key(metadata["namespace"], instance), reported(obj)) if instance else None


def pod(obj: Object) -> Pod | None:
    """A pod of a Registry, and why it waits."""
    metadata = obj["metadata"]
    instance = (metadata.get("labels") or {}).get(names.INSTANCE)
    if instance is None or "deletionTimestamp" in metadata:
        return None
    return Pod(
        registry=Key(metadata["namespace"], instance),
        waiting=waiting(obj.get("status") or {}),
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
    )


def image_hosts(obj: Object) -> set[str]:
    """Host names, without ports, of the registries that a pod's images are from."""
    spec = obj.get("spec") or {}
    kinds = ("containers", "initContainers", "ephemeralContainers")
    images = [one.get("image") or "" for kind in kinds for one in spec.get(kind) or ()]
    images += [(one.get("image") or {}).get("reference") or "" for one in spec.get("volumes") or ()]
    places = (image.partition("/") for image in images)
    return {host.partition(":")[0].lower() for host, slash, _ in places if slash}


def waiting(status: Object) -> Waiting | None:
    """The first reason that is more than being on the way."""
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        found = (container.get("state") or {}).get("waiting") or {}
        if found.get("reason") and found["reason"] not in PLACED_AS_POD_WAITS:
            return Waiting(found["reason"], found.get("message", ""))
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Waiting(condition.get("reason", "Unschedulable"), condition.get("message", ""))
    return None


def endpoint_slice(obj: Object) -> Slice | None:
    """One EndpointSlice of a Registry's Service."""
    metadata = obj["metadata"]
    labels = metadata.get("labels") or {}
    if names.INSTANCE not in labels or SERVICE not in labels:
        return None
    found = tuple(filter(None, (_endpoint(one) for one in obj.get("endpoints") or ())))
    return Slice(Key(metadata["namespace"], labels[names.INSTANCE]), labels[SERVICE], found)


def _endpoint(one: Object) -> Endpoint | None:
    target = one.get("targetRef") or {}
    if target.get("kind") != "Pod" or not target.get("name") or not one.get("addresses"):
        return None
    conditions = one.get("conditions") or {}
    ready = conditions.get("ready", True)
    return Endpoint(
        pod=target["name"],
        zone=one.get("zone") or "",
        ready=ready,
        serving=conditions.get("serving", ready),
        terminating=conditions.get("terminating", False),
        address=one["addresses"][0],
    )


def account(obj: Object) -> KubernetesNamespace:
    """A core/v1 Namespace."""
    metadata = obj["metadata"]
    return KubernetesNamespace(
        name=metadata["name"],
        uid=metadata["uid"],
        labels=metadata.get("labels") or {},
        terminating="deletionTimestamp" in metadata,
        resource_version=metadata["resourceVersion"],
    )


def consent(obj: Object) -> Consent | None:
    """A RoleBinding by which its namespace opts in; None for any other."""
    metadata, role = obj["metadata"], obj["roleRef"]
    if role["kind"] == "ClusterRole" and role["name"] in names.CONSENT.values():
        return Consent(metadata["uid"], beside=True)
    if (role["kind"], role["name"]) not in CONSENT:
        return None
    grant = json.dumps([metadata["uid"], role, obj.get("subjects") or []], sort_keys=True)
    accounts = _annotated(metadata, names.PULLS_FROM)
    return Consent(grant, {account: value == "true" for account, value in accounts.items()})


def service_account(obj: Object) -> ServiceAccount:
    """The names in its `imagePullSecrets`, and which of them tokens put there."""
    metadata = obj["metadata"]
    placed = {}
    for uid, value in _annotated(metadata, names.IMAGE_PULL_SECRETS).items():
        secret, _, owner = value.partition(" ")
        placed[uid] = PlacedEntry(secret, owner)
    secrets = tuple(one.get("name") or "" for one in obj.get("imagePullSecrets") or ())
    return ServiceAccount(metadata["resourceVersion"], secrets, placed, metadata["uid"])


def _annotated(metadata: Object, prefix: str) -> dict[str, str]:
    """Annotations whose names begin so, by the rest of their names."""
    annotations = metadata.get("annotations") or {}
    return {
        name.removeprefix(prefix): value for name, value in annotations.items() if name.startswith(prefix)
    }


def bundle(obj: Object) -> Mapping[str, str]:
    """The data of a ConfigMap."""
    return obj.get("data") or {}
