"""Whose pull secrets a Kubernetes namespace takes: its own account's, and those that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_operator import names
from registry_operator.observed import SecretData

if TYPE_CHECKING:
    from registry_operator.models import Key
    from registry_operator.observed import TokenObserved


def takes(observed: TokenObserved, target: Key) -> bool:
    """Whether the target's namespace takes this token's pull secret.

    What was placed there before namespaces had to name accounts stays until the namespace says no to it.
    """
    if target.namespace == observed.token.meta.namespace:
        return True
    said = answer(observed, target.namespace)
    return _is_older(observed, target) if said is None else said


def answer(observed: TokenObserved, namespace: str) -> bool | None:
    """What the namespace's RoleBindings say of the token's account; None: nothing. One no is a no."""
    account = observed.token.meta.namespace
    for asked in (account, names.ANY_ACCOUNT):
        given = observed.consents.get(namespace, {}).values()
        said = [one.accounts[asked] for one in given if asked in one.accounts]
        if said:
            return all(said)
    return None


def may_stay(observed: TokenObserved, target: Key) -> bool:
    """Whether what is placed there is left. Without any RoleBinding there is no right to take it away."""
    return takes(observed, target) or not observed.consents.get(target.namespace)


def binding(observed: TokenObserved, namespace: str) -> str:
    """The RoleBinding in which the namespace names accounts, or what it will be called."""
    given = observed.consents.get(namespace, {})
    return names.SECRETS_ROLE if names.SECRETS_ROLE in given else min(given, default=names.SECRETS_ROLE)


def mark(account: str) -> str:
    """The annotation by which a RoleBinding names an account, and a Secret says that it was named."""
    return names.PULLS_FROM + account


def _is_older(observed: TokenObserved, target: Key) -> bool:
    found = observed.secrets.get(target)
    token = observed.token
    return (
        isinstance(found, SecretData)
        and found.labels.get(names.OWNER_UID) == token.meta.uid
        and mark(token.meta.namespace) not in found.annotations
    )
