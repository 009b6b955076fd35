"""The Secrets of an AccessToken."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from registry_operator import names
from registry_operator.claims import allowed
from registry_operator.desired.policy import password
from registry_operator.desired.templates import render as template
from registry_operator.models import Key
from registry_operator.observed import Absence, SecretData, TokenObserved
from registry_runtime.contract.credential import Password, token_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry_operator.desired.rendered import Child
    from registry_operator.models import AccessToken, Registry

DOCKER_CONFIG = "kubernetes.io/dockerconfigjson"
DOCKER_KEY = ".dockerconfigjson"
BASIC_AUTH = "kubernetes.io/basic-auth"


def render(observed: TokenObserved) -> tuple[Child, ...]:
    """The password Secret and the pull Secrets that can be applied now.

    The password is made once and then kept. Empty where its namespace has not opted in or the Secret's
    name is somebody else's. Raises RenderFailed.
    """
    token = observed.token
    found = observed.secrets.get(token.secret)
    if token.meta.deleting or not is_writable(token, found):
        return ()
    current = password(token, found) or Password.generate(token_id(token.meta.uid))
    auths = docker_config(observed, current)
    pulls = [
        key
        for key in targets(observed)
        if key.namespace in observed.kubernetes_namespaces and is_writable(token, observed.secrets.get(key))
    ]
    return (
        _password_secret(token, current),
        *(_pull_secret(token, key, auths) for key in pulls if auths),
    )


def unwanted(observed: TokenObserved) -> tuple[Key, ...]:
    """Secrets of this token that are there and are wanted no longer: to be deleted."""
    wanted = {observed.token.secret, *targets(observed)}
    return tuple(sorted(observed.placed - wanted))


def targets(observed: TokenObserved) -> tuple[Key, ...]:
    """Where a pull Secret should be; a namespace that is named but is not there included."""
    token, wanted = observed.token, observed.token.spec.pull_secrets
    if wanted is None:
        return ()
    chosen = set(wanted.namespaces or ())
    for namespace in observed.kubernetes_namespaces.values():
        if wanted.selector is not None and wanted.selector.matches(namespace.labels):
            chosen.add(namespace.name)
        if namespace.terminating:
            chosen.discard(namespace.name)
    return tuple(Key(namespace, token.pull_secret_name) for namespace in sorted(chosen))


def usable(observed: TokenObserved) -> tuple[Registry, ...]:
    """The Registries that are there and let this token's account in, in the order of the spec."""
    token = observed.token
    account = observed.kubernetes_namespaces.get(token.meta.namespace)
    found = (observed.registries.get(key) for key in token.registries)
    return tuple(one for one in found if one is not None and allowed(one, account))


def is_writable(token: AccessToken, found: SecretData | Absence) -> bool:
    """Whether there is no Secret, or one that this token made."""
    if isinstance(found, Absence):
        return found is Absence.MISSING
    return token.meta.uid in (*found.owners, found.labels.get(names.OWNER_UID))


def docker_config(observed: TokenObserved, current: Password) -> dict[str, Any]:
    """`auths` of a docker config.json: an entry for each host of each domain that was asked for."""
    token, wanted = observed.token, observed.token.spec.pull_secrets
    if wanted is None:
        return {}
    login = f"{token.meta.name}:{current.text}".encode()
    entry = {
        "username": token.meta.name,
        "password": current.text,
        "auth": base64.b64encode(login).decode(),
    }
    auths: dict[str, Any] = {}
    for registry in usable(observed):
        hosts = registry.spec.public_hosts if "Public" in wanted.domains else ()
        private = (registry.spec.private_host,) if "Private" in wanted.domains else ()
        auths |= dict.fromkeys((*hosts, *private), entry)
    return auths


def docker_config_json(auths: Mapping[str, Any]) -> bytes:
    """The bytes of `DOCKER_KEY`: equal for equal entries."""
    return json.dumps({"auths": auths}, sort_keys=True).encode()


def _password_secret(token: AccessToken, current: Password) -> Child:
    values = {"username": token.meta.name.encode(), "password": current.text.encode()}
    return _secret(token, token.secret, "token", values, BASIC_AUTH)


def _pull_secret(token: AccessToken, key: Key, auths: Mapping[str, Any]) -> Child:
    values = {DOCKER_KEY: docker_config_json(auths)}
    return _secret(token, key, "pull-secret", values, DOCKER_CONFIG)


def _secret(token: AccessToken, key: Key, component: str, values: Mapping[str, bytes], kind: str) -> Child:
    """In another namespace than the token's no owner reference is allowed: label and annotation say it."""
    metadata: dict[str, Any] = {
        "name": key.name,
        "namespace": key.namespace,
        "labels": names.labels_of_token(token, component),
        "annotations": {names.OWNER: f"{token.KIND} {token.key}"},
    }
    if key.namespace == token.meta.namespace:
        metadata["ownerReferences"] = [names.owner_reference(token)]
    data = {name: base64.b64encode(value).decode() for name, value in values.items()}
    return template("secret", metadata=metadata, type=kind, data=data)
