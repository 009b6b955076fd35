"""May they: one pure function, asked by everything, and its reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from registry_runtime.auth.globs import matches
from registry_runtime.auth.identity import Endpoint, Identity
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.policy import Action, Grant, Policy, Token


class Reason(StrEnum):
    """Why a decision is what it is; the same word goes to the log and to whoever may ask."""

    GRANTED = "Granted"
    ANYBODY = "GrantedToAnybody"
    CREDENTIALS_MISSING = "CredentialsMissing"
    TOKEN_UNKNOWN = "TokenUnknown"  # noqa: S105 - a reason, no password
    TOKEN_SUSPENDED = "TokenSuspended"  # noqa: S105
    TOKEN_EXPIRED = "TokenExpired"  # noqa: S105
    BEARER_EXPIRED = "BearerExpired"
    SCOPE_MISSING = "ScopeMissing"
    NAMESPACE_UNBOUND = "NamespaceUnbound"
    OTHER_ACCOUNT = "OtherAccount"
    NOT_GRANTED = "NotGranted"


_ALLOWING = frozenset({Reason.GRANTED, Reason.ANYBODY})
_OF_CREDENTIALS = frozenset(
    {
        Reason.CREDENTIALS_MISSING,
        Reason.TOKEN_UNKNOWN,
        Reason.TOKEN_SUSPENDED,
        Reason.TOKEN_EXPIRED,
        Reason.BEARER_EXPIRED,
        Reason.SCOPE_MISSING,
    }
)


@dataclass(frozen=True)
class Decision:
    """The answer, with what was asked; complete for a log."""

    reason: Reason
    endpoint: Endpoint
    repository: RepositoryName | None
    action: Action

    @property
    def allowed(self) -> bool:
        return self.reason in _ALLOWING

    @property
    def other_credentials_may_help(self) -> bool:
        """Whether the answer is a challenge (401) or a refusal (403)."""
        return self.reason in _OF_CREDENTIALS


def decide(
    policy: Policy,
    identity: Identity,
    endpoint: Endpoint,
    repository: RepositoryName | None,
    action: Action,
    *,
    now: datetime,
) -> Decision:
    """Whether the identity may do this to the repository, or (None) to the registry as a whole.

    It reads nothing but the policy, so an answer never tells whether a repository exists.
    """
    return Decision(_judge(policy, identity, repository, action, now), endpoint, repository, action)


def standing(policy: Policy, identity: Identity, now: datetime) -> Reason:
    """Whether the identity itself is good: GRANTED, ANYBODY, or what is wrong with it."""
    if identity.token is None:
        return Reason.ANYBODY if identity.lapsed is None else Reason.BEARER_EXPIRED
    token = policy.tokens.get(identity.token)
    if token is None:
        return Reason.TOKEN_UNKNOWN
    if token.suspended:
        return Reason.TOKEN_SUSPENDED
    if token.not_after is not None and token.not_after <= now:
        return Reason.TOKEN_EXPIRED
    return Reason.GRANTED if identity.lapsed is None else Reason.BEARER_EXPIRED


def _judge(
    policy: Policy, identity: Identity, repository: RepositoryName | None, action: Action, now: datetime
) -> Reason:
    found = standing(policy, identity, now)
    if found not in _ALLOWING:
        return found
    if repository is None:
        return _registry_wide(policy, identity, action)
    token = policy.tokens[identity.token] if identity.token is not None else None
    reason = _by_policy(policy, token, repository, action)
    if reason in _ALLOWING and identity.scopes is not None and not identity.scopes.covers(repository, action):
        return Reason.SCOPE_MISSING
    return reason


def _registry_wide(policy: Policy, identity: Identity, action: Action) -> Reason:
    """A good identity may always ask; a list shows only what it may see."""
    if identity.token is None and not policy.anonymous:
        return Reason.CREDENTIALS_MISSING
    if action is Action.LIST and identity.scopes is not None and not identity.scopes.catalog:
        return Reason.SCOPE_MISSING
    return Reason.ANYBODY if identity.token is None else Reason.GRANTED


def _by_policy(policy: Policy, token: Token | None, repository: RepositoryName, action: Action) -> Reason:
    if _granted(policy.anonymous, repository, action):
        return Reason.ANYBODY
    if token is None:
        return Reason.CREDENTIALS_MISSING
    claim = policy.namespaces.get(repository.namespace)
    if claim is None:
        return Reason.NAMESPACE_UNBOUND
    if claim.owner != token.owner:
        return Reason.OTHER_ACCOUNT
    return Reason.GRANTED if _granted(token.grants, repository, action) else Reason.NOT_GRANTED


def _granted(grants: Iterable[Grant], repository: RepositoryName, action: Action) -> bool:
    name = str(repository)
    return any(
        action in grant.actions and any(matches(glob, name) for glob in grant.repositories)
        for grant in grants
    )
