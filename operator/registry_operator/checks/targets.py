"""Distributed: whether the pull secrets are where they are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_operator.checks.finding import Finding, no, yes
from registry_operator.checks.sentences import conflict, listed, not_permitted
from registry_operator.desired.access_token import (
    DOCKER_KEY,
    docker_config,
    docker_config_json,
    is_writable,
    targets,
)
from registry_operator.desired.policy import password
from registry_operator.models import Targets
from registry_operator.observed import Absence, Conflict, SecretData, TokenObserved

if TYPE_CHECKING:
    from registry_operator.models import Key
    from registry_operator.settings import Settings

TYPE = "Distributed"


def reached(observed: TokenObserved) -> tuple[Key, ...]:
    """Where the pull secret is, with the password and the hosts of now."""
    token = observed.token
    current = password(token, observed.secrets.get(token.secret))
    if current is None:
        return ()
    content = docker_config_json(docker_config(observed, current))
    found = {key: observed.secrets.get(key) for key in targets(observed)}
    return tuple(
        key
        for key, secret in found.items()
        if isinstance(secret, SecretData)
        and is_writable(token, secret)
        and secret.values.get(DOCKER_KEY) == content
    )


def counted(observed: TokenObserved) -> Targets | None:
    if observed.token.spec.pull_secrets is None:
        return None
    return Targets(wanted=len(targets(observed)), reached=len(reached(observed)))


def check(observed: TokenObserved, settings: Settings) -> Finding:
    """The worst of what holds a target back; each says how it is mended."""
    if observed.token.spec.pull_secrets is None:
        return yes(TYPE, "NotAsked", "spec.pullSecrets asks for none")
    wanted = targets(observed)
    missing = sorted(set(wanted) - set(reached(observed)))
    count = f"{len(wanted) - len(missing)} of {len(wanted)} Kubernetes namespaces have the pull secret"
    if not missing:
        return yes(TYPE, "Distributed", count)
    gone = [key.namespace for key in missing if key.namespace not in observed.kubernetes_namespaces]
    if gone:
        return no(TYPE, "NamespaceNotFound", f"{count}; there is no Kubernetes namespace {listed(gone)}")
    refused = [key.namespace for key in missing if observed.secrets.get(key) is Absence.NOT_PERMITTED]
    if refused:
        return no(TYPE, "SecretsNotPermitted", f"{count}. {not_permitted(refused, settings)}", mend=True)
    taken = [key for key in missing if not is_writable(observed.token, observed.secrets.get(key))]
    if taken:
        sentence = conflict([Conflict("Secret", key) for key in taken])
        return no(TYPE, "NameConflict", f"{count}. {sentence}", mend=True)
    return no(TYPE, "Distributing", count)
