"""What the Deployment and the NetworkPolicy are rendered with."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from registry_operator import names

if TYPE_CHECKING:
    from registry_operator.models import Registry, Release
    from registry_operator.settings import Settings
    from registry_runtime.contract.config import RuntimeConfig

PRE_STOP_SECONDS = 5  # by then no node sends new connections here
SPARE_SECONDS = 10
PORTS = {"https": 443, "http": 80}
EVERYWHERE = frozenset({"0.0.0.0/0", "::/0"})
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")


def deployment(registry: Registry, config: RuntimeConfig, release: Release, tls: str) -> dict[str, Any]:
    """`tls` is the Secret that the domains are served with."""
    spec = registry.spec
    s3 = spec.storage.s3
    sse = s3.server_side_encryption if s3 else None
    customer_key = sse.key_secret_ref if sse else None
    emptying = registry.meta.deleting  # with one pod that serves nobody: see `deletion.step`
    return {
        "verb": "empty" if emptying else "serve",
        "emptying": emptying,
        # With an autoscaler the number is its own: `reconcile.scaling` hands it over.
        "replicas": 1 if emptying else None if spec.autoscaling else spec.replicas,
        "selector": names.selector(registry),
        "pod_annotations": {names.CONFIG: _hash(config)},
        "service_account": registry.meta.name,
        "image_pull_secrets": [{"name": secret.name} for secret in spec.image_pull_secrets],
        "image": release.image,
        "pull_policy": release.pull_policy,
        "stop_seconds": PRE_STOP_SECONDS,
        "grace_seconds": math.ceil(PRE_STOP_SECONDS + config.limits.drain_seconds + SPARE_SECONDS),
        "zones": spec.zones.minimum,
        "zone_skew": zone_skew(spec.most_replicas, spec.zones.minimum),
        "listeners": config.listeners.model_dump(mode="json"),
        "storage": config.storage.model_dump(mode="json"),
        "cache": config.cache and {"path": str(config.cache.path), "limit": str(config.cache.size * 3 // 2)},
        "resources": {"requests": spec.resources.requests, "limits": spec.resources.limits},
        "config": names.config(registry).name,
        "policies": [shard.name for shard in names.policies(registry)],
        "tls": tls,
        "internal": names.internal(registry).name,
        "keys": spec.encryption and spec.encryption.key_secret_ref.name,
        "credentials": s3 and s3.credentials_secret_ref and s3.credentials_secret_ref.name,
        "audience": s3 and s3.workload_identity and s3.workload_identity.audience,
        "customer_key": customer_key and customer_key.model_dump(),
        "ca_bundle": s3 and s3.ca_bundle_ref and s3.ca_bundle_ref.model_dump(),
    }


def zone_skew(replicas: int, zones: int) -> int:
    """How much fuller than the emptiest a zone may be.

    With a zone lost `minDomains` makes the emptiest count as 0. While there is a replica a zone that is
    wanted: the lost one's replica waits for it. With more, 1 would stall rollouts: half may share a zone,
    rounded up to a power of two. It stands in the pods' template, and to scale should restart no replica.
    """
    return 1 if replicas <= zones else 1 << (math.ceil(replicas / 2) - 1).bit_length()


def autoscaler(registry: Registry) -> dict[str, Any] | None:
    """What the HorizontalPodAutoscaler is rendered with; None where there is to be none."""
    wanted = registry.spec.autoscaling
    if wanted is None or registry.meta.deleting:
        return None
    document = wanted.model_dump(mode="json", by_alias=True, exclude_none=True)
    behavior = document.get("behavior", {})
    for rules in behavior.values():
        if not rules["policies"]:
            del rules["policies"]  # an empty list is refused; none means the defaults
    return {
        "deployment": registry.meta.name,
        "least": wanted.min_replicas,
        "most": wanted.max_replicas,
        "cpu": wanted.target_cpu_utilization_percentage,
        "metrics": document["metrics"],
        "behavior": behavior or None,
    }


def network_policy(registry: Registry, config: RuntimeConfig, settings: Settings) -> dict[str, Any]:
    s3 = registry.spec.storage.s3
    identity = s3.workload_identity if s3 else None
    asked = [s3.endpoint] if s3 else []
    asked += [identity.sts_endpoint] if identity else []
    issuers = [one.issuer for one in registry.spec.authentication.oidc]
    tracing = registry.spec.observability.tracing
    others = [*issuers, *([tracing.endpoint] if tracing else [])]
    hosts = [urlsplit(url).hostname for url in (s3.endpoint if s3 else None, *others) if url]
    inside = {_service_namespace(host) for host in hosts if host}
    return {
        "selector": names.selector(registry),
        **config.listeners.model_dump(mode="json", include={"public", "private", "internal", "probes"}),
        "private_networks": _private_networks(registry),
        "operator_namespace": settings.namespace,
        "operator_labels": names.OPERATOR_LABELS,
        "egress_ports": sorted(
            {_port(url) for url in [*(asked or [None]), *others]} | set(settings.api_ports)
        ),
        "service_namespaces": sorted(one for one in inside if one is not None),
        "injected_identity": identity is not None and identity.role_arn is None,
    }


def _private_networks(registry: Registry) -> tuple[str, ...]:
    """Subnets that reach the private listener, beside pods; () for everybody.

    A list of all subnets would not say that to each implementation: for Cilium a node is in none of them.
    """
    wanted = registry.spec.exposure.private_networks or PRIVATE
    return () if set(wanted) >= EVERYWHERE else wanted


def _port(url: str | None) -> int:
    """Of an endpoint, or of AWS's."""
    parts = urlsplit(url or "https://")
    return parts.port or PORTS[parts.scheme]


def _service_namespace(host: str) -> str | None:
    """The Kubernetes namespace of a host name like `<service>.<namespace>.svc[.<cluster domain>]`."""
    labels = host.split(".")
    return labels[1] if len(labels) > 2 and labels[2] == "svc" else None  # noqa: PLR2004


def _hash(config: RuntimeConfig) -> str:
    return hashlib.sha256(config.document().encode()).hexdigest()[:16]
