"""A tenant called harbour, as the operator would have read it: each test changes what it is about."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from registry_operator.cache import Cache
from registry_operator.desired.registry import render
from registry_operator.desired.rendered import Child, Rendered, fingerprint, identity
from registry_operator.models import AccessToken, Key, Namespace, Registry
from registry_operator.names import ANY_ACCOUNT
from registry_operator.observed import (
    Consent,
    Endpoint,
    KubernetesNamespace,
    RegistryObserved,
    Rollout,
    SecretData,
    SecretView,
)
from registry_operator.settings import Settings

from registry_runtime.contract.credential import Password, token_id
from registry_runtime.contract.state import (
    EncryptionState,
    ReplicaState,
    SelfCheckReason,
    SelfCheckState,
    StorageReason,
    StorageState,
)

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
MADE = NOW - timedelta(days=1)
SETTINGS = Settings(image="roadstead.test/runtime:1")
ZONES = ("zone-a", "zone-b", "zone-c")
CREDENTIALS = SecretData({"accessKeyID": b"id", "secretAccessKey": b"key"})
KEYS = SecretData({"k1": b"1" * 32, "k2": b"2" * 32})
S3 = {"bucket": "harbour", "endpoint": "https://s3.test:7070", "credentialsSecretRef": {"name": "s3"}}
Object = dict[str, Any]


def metadata(name: str, namespace: str = "harbour", **changes: Any) -> Object:
    return {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{namespace}-{name}",
        "generation": 1,
        "creationTimestamp": MADE.isoformat(),
        "resourceVersion": "7",
        **changes,
    }


def registry(meta: Object | None = None, status: Object | None = None, **spec: Any) -> Registry:
    """Registry harbour/harbour on a bucket; a field of the spec that is None is left out."""
    whole = {"hostname": "harbour.test", "storage": {"s3": S3}, **spec}
    return Registry.parse({
        "metadata": metadata("harbour", **(meta or {})),
        "spec": {key: value for key, value in whole.items() if value is not None},
        "status": status or {},
    })  # fmt: skip


def ready(generation: int = 1) -> Object:
    """A status that says of this generation that it is in force."""
    said = {"type": "Ready", "status": "True", "reason": "Fine", "lastTransitionTime": MADE.isoformat()}
    return {
        "observedGeneration": generation,
        "conditions": [{**said, "observedGeneration": generation}],
    }


def claim(
    name: str = "pier-one",
    account: str = "harbour",
    called: str = "",
    status: Object | None = None,
    spec: Object | None = None,
    **meta: Any,
) -> Namespace:
    """A Namespace that claims `name` for `account` in Registry harbour/harbour."""
    spec = {"name": name, "registryRef": {"name": "harbour", "namespace": "harbour"}, **(spec or {})}
    whole = {"metadata": metadata(called or name, account, **meta), "spec": spec, "status": status or {}}
    return Namespace.parse(whole)


def token(
    name: str = "deployer",
    account: str = "harbour",
    meta: Object | None = None,
    status: Object | None = None,
    **spec: Any,
) -> AccessToken:
    """An AccessToken for Registry harbour/harbour that pulls and pushes pier-one."""
    whole = {
        "registryRefs": [{"name": "harbour", "namespace": "harbour"}],
        "permissions": [{"repositories": ["pier-one/**"], "actions": ["pull", "push"]}],
        **spec,
    }
    return AccessToken.parse(
        {"metadata": metadata(name, account, **(meta or {})), "spec": whole, "status": status or {}}
    )


def known() -> Cache:
    """Registry harbour/harbour with a claim and a token of its own."""
    cache = Cache()
    cache.see_account("harbour", KubernetesNamespace("harbour", "uid-harbour"))
    cache.see_registry(Key("harbour", "harbour"), registry())
    found, robot = claim(), token()
    cache.see_claim(found.key, found)
    cache.see_token(robot.key, robot)
    return cache


def accounts(*named: str, **labels: str) -> dict[str, KubernetesNamespace]:
    """Kubernetes namespaces; "harbour" is always there."""
    return {name: KubernetesNamespace(name, f"uid-of-{name}", labels) for name in ("harbour", *named)}


def consents(*namespaces: str, **accounts: bool) -> dict[str, dict[str, Consent]]:
    """RoleBindings of these namespaces that name accounts, and whether they are taken; none: all are."""
    given = Consent("to us", accounts or {ANY_ACCOUNT: True})
    return {namespace: {"roadstead-secrets": given} for namespace in namespaces}


def password_secret(of: AccessToken) -> tuple[SecretData, Password]:
    """The Secret that the operator made for this token, and what is in it."""
    made = Password.generate(token_id(of.meta.uid))
    values = {"username": of.meta.name.encode(), "password": made.text.encode()}
    return SecretData(values, owners=(of.meta.uid,)), made


def view(found: Mapping[Key, SecretData] | None = None, refused: Iterable[str] = ()) -> SecretView:
    """Secrets that can be read; the bucket's credentials are among them."""
    return SecretView({Key("harbour", "s3"): CREDENTIALS, **(found or {})}, frozenset(refused))


def observed(of: Registry | None = None, **changes: Any) -> RegistryObserved:
    """A Registry that was just applied: nothing of it is there yet but what the user made."""
    seen = RegistryObserved(of or registry(), NOW, kubernetes_namespaces=accounts(), secrets=view())
    return replace(seen, **changes)


def secrets_of(children: Iterable[Child], owner: str = "uid-harbour-harbour") -> dict[Key, SecretData]:
    """The Secrets among children as they would be read back."""
    return {
        identity(child)[1]: SecretData(
            {name: base64.b64decode(value) for name, value in child["data"].items()},
            labels=child["metadata"]["labels"],
            annotations=child["metadata"]["annotations"],
            owners=(owner,) if "ownerReferences" in child["metadata"] else (),
        )
        for child in children
        if child["kind"] == "Secret"
    }


def state(pod: str, revision: str, reason: StorageReason = StorageReason.READY) -> ReplicaState:
    return ReplicaState(
        version="1",
        replica=pod,
        zone="",
        started=MADE,
        ready=reason is StorageReason.READY,
        policy_revision=revision,
        storage=StorageState(reason=reason, message=f"found {reason}"),
        self_check=SelfCheckState(reason=SelfCheckReason.PASSED),
    )


def encrypted(active: str = "k1", **changes: Any) -> Registry:
    """Registry harbour/harbour, encrypted under the keys of the Secret harbour/keys."""
    return registry(encryption={"keySecretRef": {"name": "keys"}, "activeKey": active}, **changes)


def using(before: ReplicaState, active: str | None, revision: str | None = None, **ids: str) -> ReplicaState:
    """The same replica with these keys, by name their ids, and the one that it encrypts with."""
    keys = EncryptionState(keys=ids or {"k1": "1" * 16, "k2": "2" * 16}, active=active)
    changes = {"encryption": keys, "policy_revision": revision or before.policy_revision}
    return before.model_copy(update=changes)


def running(seen: RegistryObserved) -> tuple[RegistryObserved, Rendered]:
    """The same Registry when everything is applied and every wanted replica serves, zone after zone."""
    once = render(seen, SETTINGS)
    secrets = SecretView({**seen.secrets.found, **secrets_of(once.children)}, seen.secrets.refused)
    seen = replace(seen, secrets=secrets, claims=once.draft.settlement.data)
    rendered = render(seen, SETTINGS)
    deployment = rendered.child("Deployment", seen.registry.key)
    wanted = seen.registry.spec.replicas
    pods = [f"harbour-{number}" for number in range(wanted)]
    return replace(
        seen,
        rollout=Rollout(
            fingerprint(deployment) if deployment else "", 1, 1, wanted, wanted, wanted, wanted=wanted
        ),
        endpoints=tuple(
            Endpoint(pod, ZONES[number % len(ZONES)], ready=True) for number, pod in enumerate(pods)
        ),
        replicas={pod: state(pod, rendered.draft.revision) for pod in pods},
    ), rendered


def placed(of: AccessToken, children: Iterable[Child]) -> dict[Key, SecretData]:
    """A token's Secrets as they would be read back."""
    return secrets_of(children, of.meta.uid)
