"""The gate: from credentials to an identity, and from an identity to a decision or an error."""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from registry_runtime.auth.credentials import Basic, Bearer, Credentials
from registry_runtime.auth.decision import Decision, Reason, decide, standing, uses_of
from registry_runtime.auth.identity import ANYBODY, Endpoint, Identity
from registry_runtime.auth.remembered import Key, Passed, Remembered
from registry_runtime.auth.scope import CATALOG, Scopes, asking
from registry_runtime.auth.sight import sight
from registry_runtime.auth.throttle import Throttle
from registry_runtime.auth.tokens import BearerInvalid, Bearers, Claims
from registry_runtime.auth.verified import Verified
from registry_runtime.content.name import NameRange, RepositoryName
from registry_runtime.contract.credential import Password
from registry_runtime.contract.policy import Action, Policy, Sparse, Uses
from registry_runtime.errors import Denied, TooManyRequests, Unauthorized

CLOCK_SKEW = 60  # seconds that another replica's clock may be ahead
_NO_PASSWORD = "0" * 64  # compared with, so that an unknown id takes as long as a known one
_PASSWORDS = 2  # that a token has at most, while it is rotated

_SENTENCES = {
    Reason.CREDENTIALS_MISSING: "log in with the password of an AccessToken",
    Reason.TOKEN_UNKNOWN: "the password is wrong, or its AccessToken was deleted",
    Reason.TOKEN_SUSPENDED: "the AccessToken is suspended",
    Reason.TOKEN_EXPIRED: "the AccessToken has expired",
    Reason.BEARER_EXPIRED: "the bearer token has expired: ask for another",
    Reason.PROVIDER_UNKNOWN: "this registry no longer takes the word of who vouched for you",
    Reason.ID_TOKEN_REFUSED: "the token is of no issuer that this registry trusts, or not signed by it",
    Reason.ID_TOKEN_EXPIRED: "the token has expired: ask its issuer for another",
    Reason.ID_TOKEN_EARLY: "the token is not valid yet: compare the clocks of its issuer and here",
    Reason.ID_TOKEN_AUDIENCE: "the token is for others: ask its issuer for one of this registry's audience",
    Reason.ID_TOKEN_CLAIMS: "the token's claims are not those that this registry wants of its issuer",
    Reason.ID_TOKEN_REVOKED: "the cluster takes the token no more: its pod or its ServiceAccount is gone",
    Reason.SCOPE_MISSING: "the bearer token does not cover this: ask for one with the scope of the challenge",
}
_REFUSALS = {
    Reason.PRIVATE_ONLY: "only the private domain of this registry serves this: use its host name",
    Reason.USES_DELETE_NOTHING: "an AccessToken with uses deletes nothing",
    Reason.NETWORK_NOT_ALLOWED: "the AccessToken may not be used from your network",
    Reason.RESERVED: "this registry keeps this name for the checks that it makes of itself",
}


@dataclass(frozen=True)
class Asker:
    """Who asks, by which door."""

    identity: Identity
    endpoint: Endpoint


@dataclass(frozen=True)
class Issued:
    """A new bearer; `issued` in seconds of Unix, `seconds` is its life."""

    text: str
    issued: int
    seconds: int


class Gate:
    """Everything that needs to know who is asking asks here.

    `policy` gives the policy in force. What was verified, and who was let through, is remembered until
    the policy, or the keys that sign bearers, are others.
    """

    def __init__(
        self,
        policy: Callable[[], Policy],
        bearers: Bearers,
        throttle: Throttle,
        *,
        bearer_seconds: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._policy = policy
        self._bearers = bearers
        self._throttle = throttle
        self._bearer_seconds = bearer_seconds
        self._clock = clock
        self._verified = Verified()
        self._remembered = Remembered()
        self._under: tuple[Policy, object] | None = None

    def identify(self, credentials: Credentials, source: str) -> Identity:
        """Raises Unauthorized for wrong credentials, TooManyRequests for too many of them."""
        match credentials:
            case None:
                return ANYBODY
            case Basic(password):
                return self._login(password, source)
            case Bearer(text):
                return self._bearer(text, source)
            case _:
                raise Unauthorized("the Authorization header holds neither Basic nor Bearer credentials")

    def recall(self, key: Key) -> Passed | None:
        """Who was let through with the same request before, where the answer is the same now."""
        self._keep_up()
        return self._remembered.find(key, self._clock().timestamp())

    def remember(self, key: Key, identity: Identity, decision: Decision, told: str = "") -> None:
        """What was found out just now, of this key, and is a yes; `told` is what its record says."""
        self._keep_up()
        ends = [] if identity.expires is None else [float(identity.expires)]
        token = self._policy().tokens.get(identity.token) if identity.token is not None else None
        if token is not None and (token.networks or token.uses):
            return  # its answer hangs on more than the key
        if token is not None and token.not_after is not None:
            ends.append(token.not_after.timestamp())
        account = token.account if token is not None else None
        self._remembered.keep(key, Passed(identity, decision, min(ends, default=math.inf), account, told))

    def account(self, identity: Identity) -> str | None:
        """Whose token it is; None for who has none."""
        token = self._policy().tokens.get(identity.token) if identity.token is not None else None
        return token.account if token is not None else None

    def decide(self, asker: Asker, repository: RepositoryName | None, action: Action) -> Decision:
        return decide(self._policy(), asker.identity, asker.endpoint, repository, action, now=self._clock())

    def sight(self, asker: Asker) -> tuple[NameRange, ...]:
        """Where to look for repositories that `decide` lets the asker list."""
        return sight(self._policy(), asker.identity, now=self._clock())

    def uses(self, identity: Identity) -> Uses | None:
        """How often the identity may push; None: as often as it likes."""
        return uses_of(self._policy(), identity)

    def sparse(self, repository: RepositoryName) -> Sparse:
        """What manifests of the repository may lack."""
        return self._policy().sparse_in(repository.namespace)

    def admit(self, asker: Asker, repository: RepositoryName | None, action: Action) -> Decision:
        """The decision, where it is yes. Raises Unauthorized (with the scope to ask for) or Denied."""
        decision = self.decide(asker, repository, action)
        if decision.allowed:
            return decision
        if decision.other_credentials_may_help:
            scope = asking(repository, action) if repository is not None else _registry_scope(action)
            raise Unauthorized(_SENTENCES[decision.reason], scope=scope, reason=decision.reason)
        sentence = _REFUSALS.get(decision.reason, f"{action} is not granted to you here")
        raise Denied(sentence, reason=decision.reason)

    def ping(self, asker: Asker) -> Reason:
        """Whether `/v2/` is open to the asker. Raises Unauthorized.

        Many clients decide here, once, whether they ever send their credentials: so while there is
        a token to log in with, nobody is let through without.
        """
        policy = self._policy()
        logins = policy.tokens or policy.oidc or policy.kubernetes
        if asker.identity.anonymous and asker.identity.scopes is None and logins:
            raise Unauthorized(_SENTENCES[Reason.CREDENTIALS_MISSING], reason=Reason.CREDENTIALS_MISSING)
        return self.admit(asker, None, Action.PULL).reason

    def issue(self, asker: Asker, asked: Scopes) -> Issued:
        """A bearer for what was asked for and is granted, no longer good than what it was given for.

        Raises Unauthorized, or Denied.
        """
        self.admit(asker, None, Action.PULL)
        granted = {
            name: allowed
            for name, actions in asked.repositories.items()
            if (allowed := self._granted(asker, RepositoryName(name), actions))
        }
        issued = int(self._clock().timestamp())
        ends = asker.identity.expires or math.inf
        seconds = int(min(self._bearer_seconds, ends - issued))
        claims = Claims(
            asker.identity.token or "",
            issued,
            issued + seconds,
            Scopes(granted, asked.catalog),
            asker.identity.provider,
            asker.identity.name,
            asker.identity.subjects,
            asker.identity.rules,
        )
        return Issued(self._bearers.sign(claims), issued, seconds)

    def _granted(
        self, asker: Asker, repository: RepositoryName, actions: frozenset[Action]
    ) -> frozenset[Action]:
        return frozenset(action for action in actions if self.decide(asker, repository, action).allowed)

    def _login(self, text: str, source: str) -> Identity:
        try:
            password = Password.parse(text)
        except ValueError:
            raise self.refused(source, None) from None
        policy = self._policy()
        token = policy.tokens.get(password.id)
        hashes = token.hashes if token is not None else ()
        hashes += (_NO_PASSWORD,) * (_PASSWORDS - len(hashes))
        good = [hmac.compare_digest(password.sha256, known) for known in hashes]
        if not any(good):
            raise self.refused(source, password.id)
        identity = Identity(password.id, source=source)
        reason = standing(policy, identity, self._clock())
        if reason is not Reason.GRANTED:
            if reason in _REFUSALS:
                raise Denied(_REFUSALS[reason], reason=reason, token=password.id)
            raise Unauthorized(_SENTENCES[reason], reason=reason, token=password.id)
        return identity

    def refused(
        self, source: str, token: str | None, reason: Reason = Reason.TOKEN_UNKNOWN
    ) -> Unauthorized | TooManyRequests:
        """The error for a login that failed, which is counted."""
        wait = self._throttle.failed(source, token)
        if wait:
            return TooManyRequests("too many failed logins: wait, and mend the password", retry_after=wait)
        return Unauthorized(_SENTENCES[reason], reason=reason)

    def _bearer(self, text: str, source: str) -> Identity:
        claims = self._claims(text)
        now = self._clock().timestamp()
        if claims.issued > now + CLOCK_SKEW:
            raise Unauthorized(_SENTENCES[Reason.BEARER_EXPIRED], reason=Reason.BEARER_EXPIRED)
        token = self._policy().tokens.get(claims.token)
        ends = token.not_after.timestamp() if token is not None and token.not_after else math.inf
        over = now - min(ends, claims.expires)
        return Identity(
            claims.token or None,
            claims.scopes,
            over if over >= 0 else None,
            claims.expires,
            claims.provider,
            claims.name,
            claims.subjects,
            source,
            rules=claims.rules,
        )

    def _claims(self, text: str) -> Claims:
        self._keep_up()
        known = self._verified.find(text)
        if known is not None:
            return known
        try:
            claims = self._bearers.verify(text)
        except BearerInvalid:
            raise Unauthorized("the bearer token is not one of this registry") from None
        self._verified.keep(text, claims)
        return claims

    def _keep_up(self) -> None:
        """Forgets what was found out under another policy, or with other keys.

        Both by their identity: comparing a large policy takes longer than verifying.
        """
        policy, keys = self._policy(), self._bearers.known
        if self._under is None or self._under[0] is not policy or self._under[1] is not keys:
            self._verified, self._remembered, self._under = Verified(), Remembered(), (policy, keys)


def _registry_scope(action: Action) -> str | None:
    return CATALOG if action is Action.LIST else None
