"""Names, labels and annotations: what finds an object again."""

from __future__ import annotations

from registry_operator.models import API_VERSION, AccessToken, Key, Registry

RENDERED = "roadstead.dev/rendered"  # annotation of every child: hash of what was applied
CONFIG = "roadstead.dev/config"  # annotation of the pod template: a change of it rolls out
RELEASE = "roadstead.dev/release"  # annotation of a Registry: names that may change their owner
RUNS = "roadstead.dev/runs"  # annotation of a Deployment: the release that its pods are of
UPGRADE_TO = "roadstead.dev/upgrade-to"  # annotation of a Registry: the release that it is to have, or "now"
NOW = "now"  # there: whichever the operator brings
PAUSED = "roadstead.dev/paused"  # annotation of a Registry: "true" keeps its children from being written
CONTENT = "roadstead.dev/content"  # finalizer of a Registry whose content goes before it
OWNER_UID = "roadstead.dev/owner-uid"  # label of what lies in another namespace than its owner
OWNER = "roadstead.dev/owner"  # annotation of the same: "<Kind> <namespace>/<name>", for people
ADOPT = "roadstead.dev/adopt"  # annotation of an object: the Registry of this name may take it over
PULLS_FROM = "pull-secrets-from.roadstead.dev/"  # before an account: annotation of a namespace's RoleBinding
ANY_ACCOUNT = "All"  # in an account's place there; no Kubernetes namespace has such a name
IMAGE_PULL_SECRETS = (
    "image-pull-secrets.roadstead.dev/"  # before a token's UID: annotation of ServiceAccounts
)
SECRETS_ROLE = "roadstead-secrets"  # ClusterRole that a namespace binds for AccessTokens and pull secrets
REGISTRY_ROLE = "roadstead-registry"  # the one for a namespace that holds a Registry
CERTIFICATES_ROLE = "roadstead-certificates"  # beside it, for Certificates of cert-manager
ROUTES_ROLE = "roadstead-routes"  # beside it, for routes of Gateway API
CONSENT = {
    "Certificate": CERTIFICATES_ROLE,
    "HTTPRoute": ROUTES_ROLE,
    "TLSRoute": ROUTES_ROLE,
    "BackendTLSPolicy": ROUTES_ROLE,
}  # the role by which a namespace lets kinds be written that have one of their own
REVIEW_ROLE = "roadstead-token-review"  # the one for replicas that ask whether a pod's token is still good
INSTANCE = "app.kubernetes.io/instance"
NAME = "app.kubernetes.io/name"
RUNTIME = "registry"  # NAME of what the runtime consists of
OPERATOR_CLIENT = "roadstead-operator"  # the name in the operator's client certificates
OPERATOR_LABELS = {NAME: "roadstead-operator"}  # of the operator's own pods, as in manifests/
POLICY_SHARDS = 4  # a token is about 300 bytes: 10,000 of them stay clear of 1 MiB a Secret
POLICY_BYTES = 1_000_000  # of a shard; the API server takes 1 MiB a Secret
SIGNING_KEY = "token-signing.pem"  # in the Secret of `internal`


def child(registry: Registry, suffix: str) -> Key:
    """Where the child of this suffix is."""
    return Key(registry.meta.namespace, f"{registry.meta.name}-{suffix}")


def token_review(registry: Registry) -> str:
    """The command by which an administrator lets a Registry's replicas ask whether a token is still good."""
    namespace, name = registry.key.namespace, registry.key.name
    return (
        f"kubectl create clusterrolebinding {REVIEW_ROLE}:{namespace}:{name} "
        f"--clusterrole={REVIEW_ROLE} --serviceaccount={namespace}:{name}"
    )


def config(registry: Registry) -> Key:
    return child(registry, "config")


def claims(registry: Registry) -> Key:
    return child(registry, "claims")


def ca_bundle(registry: Registry) -> Key:
    return child(registry, "ca-bundle")


def ca(registry: Registry) -> Key:
    """The Secret with the CA's key: never mounted."""
    return child(registry, "ca")


def tls(registry: Registry) -> Key:
    return child(registry, "tls")


def internal(registry: Registry) -> Key:
    """The Secret with the state port's certificate and the key that signs bearer tokens."""
    return child(registry, "internal")


def operator_client(registry: Registry) -> Key:
    """The Secret with the operator's client certificate (tls.crt, tls.key) and ca.crt to trust."""
    return child(registry, "operator")


def policies(registry: Registry) -> tuple[Key, ...]:
    """The policy's shards. Their number is fixed: a replica knows their names from its start."""
    return tuple(child(registry, f"policy-{shard}") for shard in range(POLICY_SHARDS))


def private_service(registry: Registry) -> Key:
    return child(registry, "private")


def state_server(registry: Registry) -> str:
    """The name in the certificate of every replica's state port."""
    return f"{registry.meta.name}-internal.{registry.meta.namespace}.svc"


def is_paused(registry: Registry) -> bool:
    return registry.meta.annotations.get(PAUSED) == "true"


def selector(registry: Registry) -> dict[str, str]:
    """Labels of a Registry's pods; never with a version."""
    return {NAME: RUNTIME, INSTANCE: registry.meta.name}


def labels(registry: Registry, component: str) -> dict[str, str]:
    return {
        **selector(registry),
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "roadstead",
        "app.kubernetes.io/managed-by": "roadstead",
    }


def labels_of_token(token: AccessToken, component: str) -> dict[str, str]:
    return {
        NAME: "access-token",
        INSTANCE: token.meta.name,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "roadstead",
        "app.kubernetes.io/managed-by": "roadstead",
        OWNER_UID: token.meta.uid,
    }


def owner_reference(owner: Registry | AccessToken) -> dict[str, object]:
    return {
        "apiVersion": API_VERSION,
        "kind": owner.KIND,
        "name": owner.meta.name,
        "uid": owner.meta.uid,
        "controller": True,
        "blockOwnerDeletion": False,  # a deletion never waits
    }
