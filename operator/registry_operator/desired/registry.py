"""The children of a Registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_operator import names
from registry_operator.desired import exposure, workload
from registry_operator.desired.certificates import Certificates, certificates, foreign, hosts
from registry_operator.desired.config import config
from registry_operator.desired.draft import Draft, draft
from registry_operator.desired.objects import config_map, metadata, secret
from registry_operator.desired.release import is_known, running
from registry_operator.desired.rendered import Child, Rendered
from registry_operator.desired.templates import render as template
from registry_runtime.contract.config import Listeners

if TYPE_CHECKING:
    from registry_operator.models import Key, Place, Registry, Release
    from registry_operator.observed import RegistryObserved
    from registry_operator.settings import Settings


def render(observed: RegistryObserved, settings: Settings, drafted: Draft | None = None) -> Rendered:
    """All children of one Registry; `drafted` are those of its access, where they were drafted before.

    What was observed and is still good (certificates, keys) is kept, so rendering again gives the same
    bytes. Raises RenderFailed.
    """
    registry, release = observed.registry, running(observed, settings)
    drafted = drafted or draft(observed)
    if registry.meta.namespace in observed.secrets.refused:
        return Rendered((), drafted, release)
    made = certificates(observed)
    children = (
        *_identity(registry),
        _configuration(registry),
        *_certificates(registry, made),
        *_ordered(observed, made),
        *drafted.children,
        *_network(registry, settings),
        *exposure.routes(observed, made),
        *_replicas(registry, release, made.served.name),
    )
    return Rendered(children, drafted, release, _unwanted(observed, made), made.turns)


def _identity(registry: Registry) -> tuple[Child, ...]:
    """Who the replicas are in Kubernetes: they may watch their policy, and nothing else."""
    common, name = metadata(registry, registry.key, "registry"), registry.meta.name
    return (
        template("service-account", metadata=common),
        template("role", metadata=common, secrets=[shard.name for shard in names.policies(registry)]),
        template("role-binding", metadata=common, role=name, service_account=name),
    )


def _configuration(registry: Registry) -> Child:
    document = config(registry).document()
    return config_map(metadata(registry, names.config(registry), "registry"), {"config.json": document})


def _certificates(registry: Registry, made: Certificates) -> tuple[Child, ...]:
    children = [
        secret(metadata(registry, names.ca(registry), "tls"), made.ca),
        secret(metadata(registry, names.internal(registry), "tls"), made.internal),
        secret(metadata(registry, names.operator_client(registry), "tls"), made.operator),
    ]
    if made.domains is not None:
        children.append(
            secret(metadata(registry, names.tls(registry), "tls"), made.domains, "kubernetes.io/tls")
        )
    if made.bundle is not None:
        bundle = {"ca.crt": made.bundle.decode(errors="replace")}
        children.append(config_map(metadata(registry, names.ca_bundle(registry), "tls"), bundle))
    return tuple(children)


def _ordered(observed: RegistryObserved, made: Certificates) -> tuple[Child, ...]:
    """What is asked of cert-manager, and whose the Secret is that it wrote."""
    registry, key = observed.registry, names.tls(observed.registry)
    issuer = registry.spec.tls.issuer_ref
    if issuer is None:
        return ()
    common, taken = metadata(registry, key, "tls"), foreign(observed)
    children = [secret(common, None, "kubernetes.io/tls")] if made.issued or taken else []
    if "Certificate" not in observed.unserved and not taken:
        values = {"secret": key.name, "hosts": hosts(registry), "issuer": issuer.model_dump(mode="json")}
        children.append(template("certificate", metadata=common, **values))
    return tuple(children)


def _unwanted(observed: RegistryObserved, made: Certificates) -> tuple[Place, ...]:
    """What an earlier spec had. The own certificate goes when all pods have the user's.

    What is `left` was tried already.
    """
    registry, unwanted = observed.registry, [*exposure.unwanted(observed.registry)]
    ordered = "Certificate" in observed.left  # cert-manager would make the Secret again
    if registry.spec.tls.issuer_ref is None and not ordered:
        unwanted.append(("Certificate", names.tls(registry)))
    elsewhere = registry.spec.tls.secret_ref and made.served != names.tls(registry) and not ordered
    if elsewhere and _is_settled(observed, made):
        unwanted.append(("Secret", names.tls(registry)))
    if workload.autoscaler(registry) is None:
        unwanted.append(("HorizontalPodAutoscaler", registry.key))
    if made.bundle is None:
        unwanted.append(("ConfigMap", names.ca_bundle(registry)))
    return tuple(unwanted)


def _is_settled(observed: RegistryObserved, made: Certificates) -> bool:
    """Whether no pod is left that was made to mount another Secret."""
    rollout = observed.rollout
    return rollout is None or (
        rollout.certificate == made.served.name
        and rollout.observed_generation >= rollout.generation
        and rollout.updated == rollout.replicas
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
            metadata=metadata(registry, registry.key, "registry"),
            selector=selector,
        ),
        template(
            "network-policy",
            metadata=metadata(registry, registry.key, "registry"),
            **workload.network_policy(registry, config(registry), settings),
        ),
    )


def _replicas(registry: Registry, release: Release, tls: str) -> tuple[Child, ...]:
    """Of the release that the Registry has: a newer operator changes no pod by itself."""
    common = metadata(registry, registry.key, "registry")
    autoscaler = workload.autoscaler(registry)
    scaled = (template("horizontal-pod-autoscaler", metadata=common, **autoscaler),) if autoscaler else ()
    if not is_known(release):
        return scaled
    values = workload.deployment(registry, config(registry), release, tls)
    marked = common | {"annotations": {names.RUNS: str(release)}}
    return (template(f"deployment-{release.template}", metadata=marked, **values), *scaled)


def _service(registry: Registry, key: Key, component: str, kind: str, port: int | None) -> Child:
    return template(
        "service",
        metadata=metadata(registry, key, component),
        type=kind,
        selector=names.selector(registry),
        port=port,
    )
