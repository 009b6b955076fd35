"""The children of a Registry."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from registry_operator import names
from registry_operator.desired import workload
from registry_operator.desired.certificates import Certificates, certificates
from registry_operator.desired.config import config
from registry_operator.desired.policy import policy, settlement, shards
from registry_operator.desired.rendered import Child, Rendered
from registry_operator.desired.templates import render as template
from registry_runtime.contract.config import Listeners
from registry_runtime.contract.policy import KEY, Policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry_operator.claims import Settlement
    from registry_operator.models import Key, Registry
    from registry_operator.observed import RegistryObserved
    from registry_operator.settings import Settings


def render(observed: RegistryObserved, settings: Settings) -> Rendered:
    """All children of one Registry.

    What was observed and is still good (certificates, keys) is kept, so rendering again gives the same
    bytes. Raises RenderFailed.
    """
    registry = observed.registry
    settled = settlement(observed)
    whole = policy(observed, settled)
    if registry.meta.namespace in observed.secrets.refused:
        return Rendered((), whole, whole.revision, settled)
    made = certificates(observed)
    policies = _policies(registry, whole)
    children = (
        *_identity(registry),
        *_configuration(registry, settled),
        *_certificates(registry, made),
        *policies,
        *_network(registry, settings),
        *_replicas(registry, settings),
    )
    return Rendered(
        children, whole, whole.revision, settled, _unwanted(registry, made), too_large=not policies
    )


def render_access(observed: RegistryObserved) -> tuple[Child, ...]:
    """Of these children only the claims, and then the policy: all that a change of access touches.

    Empty while the Registry's Secrets must not be written. Raises RenderFailed.
    """
    registry = observed.registry
    if registry.meta.namespace in observed.secrets.refused:
        return ()
    settled = settlement(observed)
    return (_claims(registry, settled), *_policies(registry, policy(observed, settled)))


def _identity(registry: Registry) -> tuple[Child, ...]:
    """Who the replicas are in Kubernetes: they may watch their policy, and nothing else."""
    metadata, name = _metadata(registry, registry.key, "registry"), registry.meta.name
    return (
        template("service-account", metadata=metadata),
        template("role", metadata=metadata, secrets=[shard.name for shard in names.policies(registry)]),
        template("role-binding", metadata=metadata, role=name, service_account=name),
    )


def _configuration(registry: Registry, settled: Settlement) -> tuple[Child, Child]:
    document = config(registry).model_dump_json(indent=1)
    return (
        _config_map(registry, names.config(registry), "registry", {"config.json": document}),
        _claims(registry, settled),
    )


def _claims(registry: Registry, settled: Settlement) -> Child:
    return _config_map(registry, names.claims(registry), "policy", settled.data)


def _certificates(registry: Registry, made: Certificates) -> tuple[Child, ...]:
    children = [
        _secret(registry, names.ca(registry), "tls", made.ca),
        _secret(registry, names.internal(registry), "tls", made.internal),
        _secret(registry, names.operator_client(registry), "tls", made.operator),
    ]
    if made.domains is not None:
        children.append(_secret(registry, names.tls(registry), "tls", made.domains, "kubernetes.io/tls"))
    if made.bundle is not None:
        bundle = {"ca.crt": made.bundle.decode(errors="replace")}
        children.append(_config_map(registry, names.ca_bundle(registry), "tls", bundle))
    return tuple(children)


def _unwanted(registry: Registry, made: Certificates) -> tuple[tuple[str, Key], ...]:
    """What an earlier spec had: own certificates, where the user brings them now."""
    unwanted = [("Secret", names.tls(registry))] if made.domains is None else []
    return (*unwanted, *([("ConfigMap", names.ca_bundle(registry))] if made.bundle is None else []))


def _policies(registry: Registry, whole: Policy) -> tuple[Child, ...]:
    """None of them where one does not fit: a policy is never in force in part."""
    keys = names.policies(registry)
    documents = [shard.encode() for shard in shards(whole, len(keys))]
    if max(map(len, documents)) > names.POLICY_BYTES:
        return ()
    return tuple(
        _secret(registry, key, "policy", {KEY: document})
        for key, document in zip(keys, documents, strict=True)
    )


def _network(registry: Registry, settings: Settings) -> tuple[Child, ...]:
    listeners, selector = Listeners(), names.selector(registry)
    private = names.private_service(registry)
    kind = registry.spec.exposure.service_type
    return (
        _service(registry, registry.key, "public", kind, listeners.public),
        _service(registry, private, "private", "ClusterIP", listeners.private),
        template(
            "pod-disruption-budget",
            metadata=_metadata(registry, registry.key, "registry"),
            selector=selector,
        ),
        template(
            "network-policy",
            metadata=_metadata(registry, registry.key, "registry"),
            **workload.network_policy(registry, config(registry), settings),
        ),
    )


def _replicas(registry: Registry, settings: Settings) -> tuple[Child, ...]:
    metadata = _metadata(registry, registry.key, "registry")
    values = workload.deployment(registry, config(registry), settings)
    return (template("deployment", metadata=metadata, **values),)


def _service(registry: Registry, key: Key, component: str, kind: str, port: int | None) -> Child:
    return template(
        "service",
        metadata=_metadata(registry, key, component),
        type=kind,
        selector=names.selector(registry),
        port=port,
    )


def _config_map(registry: Registry, key: Key, component: str, data: Mapping[str, str]) -> Child:
    return template("config-map", metadata=_metadata(registry, key, component), data=data)


def _secret(
    registry: Registry, key: Key, component: str, values: Mapping[str, bytes], kind: str = "Opaque"
) -> Child:
    data = {name: base64.b64encode(value).decode() for name, value in values.items()}
    return template("secret", metadata=_metadata(registry, key, component), type=kind, data=data)


def _metadata(registry: Registry, key: Key, component: str) -> dict[str, Any]:
    return {
        "name": key.name,
        "namespace": key.namespace,
        "labels": names.labels(registry, component),
        "ownerReferences": [names.owner_reference(registry)],
    }
