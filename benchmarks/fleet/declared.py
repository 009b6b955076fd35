"""What one tenant of the fleet declares: a Registry, Namespaces, AccessTokens, in a namespace of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from registry_operator.names import REGISTRY_ROLE

from tests.e2e.platform import OPERATOR, resource

Object = dict[str, Any]
NAME = "registry"
NAMESPACES, TOKENS = 3, 10


def tenant(number: int) -> str:
    return f"fleet-{number:04}"


def account(number: int) -> Iterator[Object]:
    """The Kubernetes namespace, and its consent."""
    name, (operator, system) = tenant(number), OPERATOR
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    yield {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": REGISTRY_ROLE, "namespace": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": REGISTRY_ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": operator, "namespace": system}],
    }


def storage(number: int, credentials: dict[str, str], ca: str) -> Iterator[Object]:
    """The tenant's key pair, and the CA of its bucket. `credentials` as in a Secret's `data`."""
    metadata = {"name": "s3", "namespace": tenant(number)}
    yield {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": credentials}
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": ca}}


def registry(number: int, **other: str) -> Object:
    """Three replicas over three zones, on a prefix of its own; `other` fields of its storage."""
    s3 = {
        "bucket": "harbour",
        "prefix": f"{tenant(number)}/",
        "endpoint": "https://s3.s3-system.svc:7070",
        "credentialsSecretRef": {"name": "s3"},
        "caBundleRef": {"name": "s3"},
        **other,
    }
    spec = {
        "hostname": f"{tenant(number)}.roadstead.test",
        "storage": {"s3": s3},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
    }
    return resource("Registry", NAME, tenant(number), spec)


def access(number: int, pulling: int) -> Iterator[Object]:
    """Its Namespaces, and the AccessTokens that use them; so many of these with a pull Secret."""
    reference = {"name": NAME}
    for one in range(NAMESPACES):
        spec = {"registryRef": reference, "name": f"team-{one}"}
        yield resource("Namespace", f"team-{one}", tenant(number), spec)
    for one in range(TOKENS):
        yield token(number, one, pulling)


def token(number: int, one: int, pulling: int, **spec: Any) -> Object:
    """The first `pulling` ones have a pull Secret beside them, which their namespace's pods use."""
    right = {"repositories": [f"team-{one % NAMESPACES}/**"], "actions": ["pull", "push"]}
    default: Object = {"registryRefs": [{"name": NAME}], "permissions": [right]}
    if one < pulling:
        default["pullSecrets"] = {"namespaces": [tenant(number)], "serviceAccounts": ["default"]}
    return resource("AccessToken", f"robot-{one}", tenant(number), default | spec)
