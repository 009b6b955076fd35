"""Distributed: whether the pull secrets are where they are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from registry_operator.checks.finding import Finding, no, yes
from registry_operator.checks.sentences import conflict, listed, not_permitted, not_taken
from registry_operator.desired.access_token import (
    DOCKER_KEY,
    docker_config,
    docker_config_json,
    is_writable,
    targets,
)
from registry_operator.desired.consent import binding, takes
from registry_operator.desired.policy import password
from registry_operator.desired.service_accounts import naming
from registry_operator.desired.service_accounts import wanted as wanted_accounts
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
        and takes(observed, key)
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
    behind = sorted(set(wanted) - set(reached(observed)))
    count = f"{len(wanted) - len(behind)} of {len(wanted)} Kubernetes namespaces have the pull secret"
    if not behind:
        return _service_accounts(observed, count)
    gone = [key.namespace for key in behind if key.namespace not in observed.kubernetes_namespaces]
    if gone:
        return no(TYPE, "NamespaceNotFound", f"{count}; there is no Kubernetes namespace {listed(gone)}")
    held = _consent(observed, behind, count, settings)
    if held is not None:
        return held
    taken = [key for key in behind if not is_writable(observed.token, observed.secrets.get(key))]
    if taken:
        sentence = conflict([Conflict("Secret", key) for key in taken])
        return no(TYPE, "NameConflict", f"{count}. {sentence}", mend=True)
    return no(TYPE, "Distributing", count)


def _consent(
    observed: TokenObserved, behind: Sequence[Key], count: str, settings: Settings
) -> Finding | None:
    """Who has not let Roadstead use its Secrets, or does not take those of this token's account."""
    closed = {key.namespace: binding(observed, key.namespace) for key in behind if not takes(observed, key)}
    refused = [key.namespace for key in behind if observed.secrets.get(key) is Absence.NOT_PERMITTED]
    account = observed.token.meta.namespace
    if refused:
        closed = {namespace: closed[namespace] for namespace in refused if namespace in closed}
        further = f"\n{not_taken(closed, account, settings)}" if closed else ""
        sentence = f"{count}. {not_permitted(refused, settings)}{further}"
        return no(TYPE, "SecretsNotPermitted", sentence, mend=True)
    if closed:
        return no(TYPE, "TargetNotConsenting", f"{count}; {not_taken(closed, account, settings)}", mend=True)
    return None


def _service_accounts(observed: TokenObserved, count: str) -> Finding:
    """Whether they name the pull secret, which is everywhere."""
    wanted = wanted_accounts(observed)
    if not wanted:
        return yes(TYPE, "Distributed", count)
    done = naming(observed, wanted)
    count = f"{count}, {len(done)} of {len(wanted)} ServiceAccounts name it"
    gone = [key for key in wanted if key not in observed.service_accounts]
    if gone:
        return no(
            TYPE, "ServiceAccountNotFound", f"{count}; there is no ServiceAccount {listed(map(str, gone))}"
        )
    return yes(TYPE, "Distributed", count) if done == wanted else no(TYPE, "Distributing", count)
