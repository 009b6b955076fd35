"""May they: one pure function, asked by everything, and its reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from registry_runtime.auth.globs import matches
from registry_runtime.auth.identity import Endpoint, Identity
from registry_runtime.auth.networks import contains
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract import subject
from registry_runtime.contract.policy import Action, Claim, Grant, Policy, Token, Uses


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
    NETWORK_NOT_ALLOWED = "NetworkNotAllowed"
    USES_DELETE_NOTHING = "UsesDeleteNothing"
    PROVIDER_UNKNOWN = "ProviderUnknown"
    ID_TOKEN_REFUSED = "IdTokenRefused"  # noqa: S105
    ID_TOKEN_EXPIRED = "IdTokenExpired"  # noqa: S105
    ID_TOKEN_EARLY = "IdTokenNotYetValid"  # noqa: S105
    ID_TOKEN_AUDIENCE = "IdTokenForOthers"  # noqa: S105
    ID_TOKEN_CLAIMS = "IdTokenClaims"  # noqa: S105
    ID_TOKEN_REVOKED = "IdTokenRevoked"  # noqa: S105
    RESERVED = "Reserved"
    PRIVATE_ONLY = "PrivateOnly"
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
        Reason.PROVIDER_UNKNOWN,
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
    reason = _judge(policy, identity, endpoint, repository, action, now=now)
    return Decision(reason, endpoint, repository, action)


def standing(policy: Policy, identity: Identity, now: datetime) -> Reason:
    """Whether the identity itself is good: GRANTED, ANYBODY, or what is wrong with it."""
    reason = Reason.ANYBODY
    if identity.token is not None:
        reason = _token_stands(policy.tokens.get(identity.token), identity, now)
    elif identity.is_replica:
        reason = Reason.GRANTED
    elif identity.provider:
        vouched = policy.vouches(identity.provider, identity.rules)
        reason = Reason.GRANTED if vouched else Reason.PROVIDER_UNKNOWN
    return Reason.BEARER_EXPIRED if reason in _ALLOWING and identity.lapsed is not None else reason


def _token_stands(token: Token | None, identity: Identity, now: datetime) -> Reason:
    if token is None:
        return Reason.TOKEN_UNKNOWN
    if token.suspended:
        return Reason.TOKEN_SUSPENDED
    if token.not_after is not None and token.not_after <= now and not identity.timeless:
        return Reason.TOKEN_EXPIRED
    if token.networks and not contains(token.networks, identity.source):
        return Reason.NETWORK_NOT_ALLOWED
    return Reason.GRANTED


def _judge(  # noqa: PLR0911 - a condition a line
    policy: Policy,
    identity: Identity,
    endpoint: Endpoint,
    repository: RepositoryName | None,
    action: Action,
    *,
    now: datetime,
) -> Reason:
    found = standing(policy, identity, now)
    if found not in _ALLOWING:
        return found
    if repository is None:
        return _registry_wide(policy, identity, endpoint, action)
    reason = _by_policy(policy, identity, repository, action)
    if reason not in _ALLOWING or identity.is_replica:
        return reason
    if action is Action.DELETE and uses_of(policy, identity) is not None:
        return Reason.USES_DELETE_NOTHING  # what it deleted it could push again
    if endpoint is Endpoint.PUBLIC and policy.is_private(repository.namespace):
        return Reason.PRIVATE_ONLY  # said to those only who may see that there is something
    if identity.scopes is not None and not identity.scopes.covers(repository, action):
        return Reason.SCOPE_MISSING
    return reason


def _registry_wide(policy: Policy, identity: Identity, endpoint: Endpoint, action: Action) -> Reason:
    """A good identity may always ask, and log in; a list shows only what it may see."""
    if identity.anonymous and not policy.anonymous:
        return Reason.CREDENTIALS_MISSING
    if action is Action.LIST and endpoint is Endpoint.PUBLIC and policy.private_only:
        return Reason.PRIVATE_ONLY
    if action is Action.LIST and identity.scopes is not None and not identity.scopes.catalog:
        return Reason.SCOPE_MISSING
    return Reason.ANYBODY if identity.anonymous else Reason.GRANTED


def _by_policy(policy: Policy, identity: Identity, repository: RepositoryName, action: Action) -> Reason:
    """What is granted to anybody; else by the Namespace, or by an AccessToken of the account that owns it.

    But for the repository of the self-check, which is the replicas' alone, and they have no other.
    """
    if subject.SELF_CHECK in {repository.namespace, identity.provider}:
        return _by_itself(identity, repository, action)
    if _granted(policy.anonymous, repository, action):
        return Reason.ANYBODY
    if identity.anonymous:
        return Reason.CREDENTIALS_MISSING
    claim = policy.namespaces.get(repository.namespace)
    if claim is None:
        return Reason.NAMESPACE_UNBOUND
    mine = subjects_of(identity)
    if _granted((one for one in claim.access if not mine.isdisjoint(one.subjects)), repository, action):
        return Reason.GRANTED
    return _by_own(policy.tokens.get(identity.token or ""), claim, repository, action)


def _by_itself(identity: Identity, repository: RepositoryName, action: Action) -> Reason:
    if not identity.is_replica:
        return Reason.RESERVED
    own = repository.text == subject.SELF_CHECK and action in {Action.PULL, Action.PUSH}
    covered = own and identity.scopes is not None and identity.scopes.covers(repository, action)
    return Reason.GRANTED if covered else Reason.NOT_GRANTED


def _by_own(token: Token | None, claim: Claim, repository: RepositoryName, action: Action) -> Reason:
    if token is not None and claim.owner != token.owner:
        return Reason.OTHER_ACCOUNT
    granted = token is not None and _granted(token.grants, repository, action)
    return Reason.GRANTED if granted else Reason.NOT_GRANTED


def uses_of(policy: Policy, identity: Identity) -> Uses | None:
    """How often the identity may push, where that is limited: whoever it is that lets it push."""
    token = policy.tokens.get(identity.token) if identity.token is not None else None
    return token.uses if token is not None else None


def subjects_of(identity: Identity) -> frozenset[str]:
    """As whom the entries of a Namespace's access know the identity."""
    return identity.subjects if identity.token is None else frozenset({subject.token(identity.token)})


def _granted(grants: Iterable[Grant], repository: RepositoryName, action: Action) -> bool:
    name = str(repository)
    return any(
        action in grant.actions and any(matches(glob, name) for glob in grant.repositories)
        for grant in grants
    )
