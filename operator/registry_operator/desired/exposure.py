"""How the public domain is reached from outside: an Ingress, a route of Gateway API, and TLS behind it.

The replicas speak TLS only. Whoever ends it in front of them speaks it to them, too: the Service says so by
`appProtocol`, a BackendTLSPolicy says whom to trust.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from registry_operator import names
from registry_operator.desired.objects import metadata
from registry_operator.desired.templates import render as template

if TYPE_CHECKING:
    from registry_operator.desired.certificates import Certificates
    from registry_operator.desired.rendered import Child
    from registry_operator.models import Place, Registry
    from registry_operator.observed import RegistryObserved

TEMPLATES = {
    "Ingress": "ingress",
    "HTTPRoute": "http-route",
    "TLSRoute": "tls-route",
    "BackendTLSPolicy": "backend-tls-policy",
}


def kinds_of(registry: Registry) -> frozenset[str]:
    """Kinds of its children that a cluster may lack, or that have controllers of their own."""
    spec, found = registry.spec, set()
    if spec.tls.issuer_ref:
        found.add("Certificate")
    if spec.exposure.ingress:
        found.add("Ingress")
    if gateway := spec.exposure.gateway:
        found.add(gateway.kind)
        if gateway.kind == "HTTPRoute":
            found.add("BackendTLSPolicy")
    return frozenset(found)


def routes(observed: RegistryObserved, made: Certificates) -> tuple[Child, ...]:
    """Those that the spec wants and the API server serves."""
    registry = observed.registry
    wanted = sorted((kinds_of(registry) & TEMPLATES.keys()) - observed.unserved.keys())
    values = {
        "service": registry.key.name,
        "hosts": registry.spec.public_hosts,
        "tls": made.served.name,
        "ca_bundle": names.ca_bundle(registry).name if made.bundle is not None else None,
        "ingress": _ingress(registry),
        "parents": _parents(registry),
    }
    common = metadata(registry, registry.key, "exposure")
    return tuple(
        template(TEMPLATES[kind], metadata={**common, "annotations": _annotations(registry, kind)}, **values)
        for kind in wanted
    )


def unwanted(registry: Registry) -> list[Place]:
    """What an earlier spec had."""
    return [(kind, registry.key) for kind in sorted(TEMPLATES.keys() - kinds_of(registry))]


def _annotations(registry: Registry, kind: str) -> dict[str, str]:
    ingress = registry.spec.exposure.ingress
    return dict(ingress.annotations) if ingress and kind == "Ingress" else {}


def _ingress(registry: Registry) -> dict[str, Any] | None:
    ingress = registry.spec.exposure.ingress
    return (
        None
        if ingress is None
        else {"class_name": ingress.class_name, "terminate": ingress.tls == "Terminate"}
    )


def _parents(registry: Registry) -> list[dict[str, Any]]:
    gateway = registry.spec.exposure.gateway
    refs = gateway.parent_refs if gateway else ()
    return [ref.model_dump(mode="json", by_alias=True, exclude_none=True) for ref in refs]
