"""A password that is a token of somebody who may vouch: from its text to an identity."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from registry_runtime.auth import vouched
from registry_runtime.auth.decision import Reason
from registry_runtime.auth.gate import Gate
from registry_runtime.auth.id_token import IdToken, IdTokenRefused, Published, ends, resembles, verified
from registry_runtime.auth.identity import Identity
from registry_runtime.auth.issuer_keys import IssuerKeys
from registry_runtime.auth.scope import Scopes
from registry_runtime.contract.policy import Policy
from registry_runtime.contract.subject import KubernetesProvider, OidcProvider

_REVIEWED_SECONDS = 10.0  # for which the cluster's yes is remembered
_REVIEWED_LIFE = 60  # seconds of a bearer, where the cluster is to be asked each time
_MOST_REVIEWS = 10_000


class Cluster(Protocol):
    """The issuer of ServiceAccount tokens."""

    async def published(self) -> Published:
        """Raises OSError, TimeoutError or ValueError where there is no good answer."""

    async def reviewed(self, token: str, audience: str) -> str | None:
        """The user whose token it is; None where the cluster does not take it. Raises IssuerUnavailable."""


class Vouching:
    """Only issuers that the policy names are ever asked for anything, and only for their own keys.

    `clock` is the time of day, `ticks` is monotonic.
    """

    def __init__(
        self,
        policy: Callable[[], Policy],
        gate: Gate,
        ask: Callable[[OidcProvider], Awaitable[Published]],
        cluster: Cluster | None,
        *,
        clock: Callable[[], datetime],
        ticks: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._gate = gate
        self._ask = ask
        self._clock = clock
        self._ticks = ticks
        self._issuers: dict[tuple[str, str | None], IssuerKeys] = {}
        self._cluster = cluster
        self._cluster_keys = IssuerKeys("the cluster", cluster.published, ticks) if cluster else None
        self._reviews: OrderedDict[bytes, float] = OrderedDict()  # until when, by the token's digest
        self._under: tuple[Policy, vouched.Subjects] | None = None

    def takes(self, password: str) -> bool:
        """Whether it is for those who vouch to judge, and not for the gate."""
        policy = self._policy()
        return (bool(policy.oidc) or policy.kubernetes is not None) and resembles(password)

    async def look(self) -> dict[str, str | None]:
        """By provider, what keeps its issuer from saying its keys, or None."""
        policy, _ = self._keep_up()
        found = await asyncio.gather(*(self._keys(provider).look() for provider in policy.oidc.values()))
        return dict(zip(policy.oidc, found, strict=True))

    async def identify(self, password: str, source: str, asked: Scopes) -> Identity:
        """Raises Unauthorized, TooManyRequests, or IssuerUnavailable."""
        try:
            found = await self._identify(IdToken.parse(password))
        except IdTokenRefused as refused:
            raise self._gate.refused(source, None, refused.reason) from None
        chosen = vouched.few(found.subjects, self._policy(), asked)
        return replace(found, subjects=chosen, source=source)

    async def _identify(self, token: IdToken) -> Identity:
        """By the first provider that takes it."""
        policy, subjects = self._keep_up()
        refused = IdTokenRefused()
        for name, provider in policy.oidc.items():
            if provider.issuer == token.issuer:
                try:
                    return await self._by_provider(token, name, provider, subjects)
                except IdTokenRefused as error:
                    refused = error
        cluster = self._cluster_keys if policy.kubernetes is not None else None
        if policy.kubernetes is None or cluster is None or await cluster.issuer() != token.issuer:
            raise refused
        return await self._by_cluster(token, policy.kubernetes, cluster)

    async def _by_provider(
        self, token: IdToken, name: str, provider: OidcProvider, subjects: vouched.Subjects
    ) -> Identity:
        claims = verified(token, await self._keys(provider).find(token.key_id))
        until = ends(claims, issuer=provider.issuer, audience=provider.audience, now=self._now())
        return vouched.by_provider(name, provider, claims, subjects.of(name, claims), until)

    def _keys(self, provider: OidcProvider) -> IssuerKeys:
        made = IssuerKeys(provider.issuer, lambda: self._ask(provider), self._ticks)
        return self._issuers.setdefault(_place(provider), made)

    async def _by_cluster(self, token: IdToken, provider: KubernetesProvider, keys: IssuerKeys) -> Identity:
        claims = verified(token, await keys.find(token.key_id))
        until = ends(claims, issuer=token.issuer, audience=provider.audience, now=self._now())
        if provider.review:
            await self._review(token.text, claims, provider)
            until = min(until, self._now() + _REVIEWED_LIFE)
        return vouched.by_cluster(provider, claims, until)

    async def _review(self, text: str, claims: dict[str, Any], provider: KubernetesProvider) -> None:
        assert self._cluster is not None
        key = hashlib.sha256(f"{provider.audience} {text}".encode()).digest()
        if self._ticks() < self._reviews.get(key, -math.inf):
            return
        self._reviews.pop(key, None)
        user = await self._cluster.reviewed(text, provider.audience)
        if user is None or user != claims.get("sub"):
            raise IdTokenRefused(Reason.ID_TOKEN_REVOKED)
        self._reviews[key] = self._ticks() + _REVIEWED_SECONDS
        while len(self._reviews) > _MOST_REVIEWS:
            self._reviews.popitem(last=False)

    def _keep_up(self) -> tuple[Policy, vouched.Subjects]:
        """The policy in force; the keys of issuers that it no longer names are forgotten."""
        policy, under = self._policy(), self._under
        if under is None or under[0] is not policy:
            same = under and (under[0].namespaces, under[0].oidc) == (policy.namespaces, policy.oidc)
            self._under = under = policy, under[1] if under and same else vouched.Subjects(policy)
            places = {_place(provider) for provider in policy.oidc.values()}
            self._issuers = {place: keys for place, keys in self._issuers.items() if place in places}
        return under

    def _now(self) -> float:
        return self._clock().timestamp()


def _place(provider: OidcProvider) -> tuple[str, str | None]:
    return provider.issuer, provider.ca
