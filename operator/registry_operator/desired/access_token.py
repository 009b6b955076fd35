"""The Secrets of an AccessToken."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from registry_operator import names
from registry_operator.claims import allowed
from registry_operator.desired import rotation
from registry_operator.desired.consent import answer, mark, may_stay, takes
from registry_operator.desired.rotation import Moment, Passwords
from registry_operator.desired.templates import render as template
from registry_operator.models import Key
from registry_operator.models.base import seconds
from registry_operator.observed import Absence, SecretData, TokenObserved
from registry_runtime.contract.credential import Password, token_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from registry_operator.desired.rendered import Child
    from registry_operator.models import AccessToken, Registry

DOCKER_CONFIG = "kubernetes.io/dockerconfigjson"
DOCKER_KEY = ".dockerconfigjson"
KEY_FILE = "key.json"  # key of the Secret
BASIC_AUTH = "kubernetes.io/basic-auth"


def render(observed: TokenObserved) -> tuple[Child, ...]:
    """The password Secret and the pull Secrets that can be applied now.

    The password is made once and then kept, until the next one takes its place by `rotation`. Empty where
    its namespace has not opted in or the Secret's name is somebody else's. Raises RenderFailed.
    """
    token = observed.token
    found = observed.secrets.get(token.secret)
    if token.meta.deleting or not is_writable(token, found):
        return ()
    wanted = targets(observed) if usable(observed) else ()
    pulls = [
        key
        for key in wanted
        if key.namespace in observed.kubernetes_namespaces
        and is_writable(token, observed.secrets.get(key))
        and takes(observed, key)
    ]
    held = passwords(observed, pulls)
    auths = docker_config(observed, held.current)
    return (
        _password_secret(observed, held),
        *(_pull_secret(observed, key, auths) for key in pulls),
    )


def passwords(observed: TokenObserved, pulls: Iterable[Key]) -> Passwords:
    """What the Secret is to hold: what is there after the step that is due, and who is about to have it."""
    token = observed.token
    make = partial(Password.generate, token_id(token.meta.uid))
    found = rotation.read(token, observed.secrets.get(token.secret))
    if found is None:
        found = Passwords(make(), observed.now)
    else:
        found = rotation.step(found, moment(observed, found), make)
    given = {*holders(observed, found), *pulls}
    return replace(found, given=tuple(sorted(key.namespace for key in given)))


def moment(observed: TokenObserved, found: Passwords) -> Moment:
    """What decides the next step of a rotation. A token that is suspended or has ended does not rotate."""
    token, asked = observed.token, observed.token.spec.rotation
    ended = token.expires is not None and token.expires <= observed.now
    rests = asked is None or token.spec.suspended or ended
    holding = set(holders(observed, found))
    return Moment(
        observed.now,
        every=None if asked is None or rests else timedelta(seconds=seconds(asked.every)),
        overlap=rotation.UNSET_OVERLAP if asked is None else timedelta(seconds=seconds(asked.overlap)),
        in_force=found.next is not None and not awaited(observed, found.next),
        delivered=holding <= set(carriers(observed, found.current)),
    )


def awaited(observed: TokenObserved, password: Password) -> tuple[Key, ...]:
    """Registries of which some replica that serves may not take this password.

    One that cannot be read is among them: its replicas go on with what they know. One that does not let
    this token's account in has no use for any.
    """
    account = observed.kubernetes_namespaces.get(observed.token.meta.namespace)

    def takes_it(key: Key) -> bool:
        registry, reached = observed.registries.get(key), observed.propagations.get(key)
        if registry is not None and not allowed(registry, account):
            return True
        if registry is None or reached is None or key not in observed.settled:
            return False
        known = reached.policy.tokens.get(password.id)
        return known is not None and password.sha256 in known.hashes

    return tuple(key for key in observed.token.registries if not takes_it(key))


def holders(observed: TokenObserved, found: Passwords) -> tuple[Key, ...]:
    """Targets that may hold a password: they were given one, and it is not known to be gone from there."""
    given = [key for key in targets(observed) if key.namespace in found.given]
    there = ((key, observed.secrets.get(key)) for key in given)
    return tuple(
        key
        for key, secret in there
        if key.namespace in observed.kubernetes_namespaces
        and (secret is Absence.NOT_PERMITTED or _is_ours(observed.token, secret))
    )


def carriers(observed: TokenObserved, current: Password) -> tuple[Key, ...]:
    """Targets whose pull secret has this password, and the hosts of now."""
    content = docker_config_json(docker_config(observed, current))
    there = ((key, observed.secrets.get(key)) for key in targets(observed))
    return tuple(
        key
        for key, secret in there
        if isinstance(secret, SecretData)
        and _is_ours(observed.token, secret)
        and secret.values.get(DOCKER_KEY) == content
    )


def unwanted(observed: TokenObserved) -> tuple[Key, ...]:
    """Secrets of this token that are there and are wanted no longer: to be deleted."""
    wanted = {observed.token.secret, *(key for key in targets(observed) if may_stay(observed, key))}
    return tuple(sorted(observed.placed - wanted))


def targets(observed: TokenObserved) -> tuple[Key, ...]:
    """Where a pull Secret should be; a namespace that is named but is not there included."""
    token, wanted = observed.token, observed.token.spec.pull_secrets
    if wanted is None:
        return ()
    there, chosen = observed.kubernetes_namespaces, set(wanted.namespaces or ())
    if wanted.selector is not None:
        chosen |= {one.name for one in there.values() if wanted.choose(one.name, one.labels)}
    chosen -= {name for name in chosen if name in there and there[name].terminating}
    return tuple(Key(namespace, token.pull_secret_name) for namespace in sorted(chosen))


def usable(observed: TokenObserved) -> tuple[Registry, ...]:
    """The Registries that are there and let this token's account in, in the order of the spec."""
    token = observed.token
    account = observed.kubernetes_namespaces.get(token.meta.namespace)
    found = (observed.registries.get(key) for key in token.registries)
    return tuple(one for one in found if one is not None and allowed(one, account))


def is_writable(token: AccessToken, found: SecretData | Absence) -> bool:
    """Whether there is no Secret, or one that this token made."""
    return found is Absence.MISSING or _is_ours(token, found)


def _is_ours(token: AccessToken, found: SecretData | Absence) -> bool:
    """Whether this token made the Secret that is there."""
    return isinstance(found, SecretData) and token.meta.uid in found.made_for


def key_file(observed: TokenObserved, current: Password) -> bytes:
    """What `docker login -u _json_key --password-stdin` reads. The password is all that a login needs."""
    hosts = [(*one.spec.public_hosts, one.spec.private_host) for one in usable(observed)]
    document = {
        "username": observed.token.meta.name,
        "password": current.text,
        "registries": [host for hosts_ in hosts for host in hosts_],
    }
    return json.dumps(document, indent=1).encode()


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


def _password_secret(observed: TokenObserved, held: Passwords) -> Child:
    token = observed.token
    values = {
        "username": token.meta.name.encode(),
        rotation.PASSWORD: held.current.text.encode(),
        KEY_FILE: key_file(observed, held.current),
        rotation.MEMORY: held.encode(),
    }
    return _secret(token, token.secret, "token", values, BASIC_AUTH)


def _pull_secret(observed: TokenObserved, key: Key, auths: Mapping[str, Any]) -> Child:
    """Where the namespace named the account, the Secret says so: when it does no longer, the Secret goes."""
    token = observed.token
    secret = _secret(token, key, "pull-secret", {DOCKER_KEY: docker_config_json(auths)}, DOCKER_CONFIG)
    if key.namespace != token.meta.namespace and answer(observed, key.namespace):
        secret["metadata"]["annotations"][mark(token.meta.namespace)] = "true"
    return secret


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
