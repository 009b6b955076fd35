"""Who an entry of a Namespace's access speaks of, and who vouches for identities from elsewhere.

A subject is one line of text, the same in the policy, in a bearer and in the decision:

    token:<id>                         an AccessToken
    serviceaccount:<namespace>/<name>  a ServiceAccount of this cluster; the name `*` is all of a namespace
    oidc:<provider>:<JSON of claims>   whoever has an ID token of this provider whose claims match: globs by
                                       the claim's name; of a claim that is a list, one element must match
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import Field

from registry_runtime.contract.config import Frozen

KUBERNETES = "kubernetes"  # the provider of ServiceAccount tokens; no OIDC provider may have this name
SELF_CHECK = "roadstead.self-check"
"""The repository that a replica's check of itself uses, and the provider of the identity that may: its own.

No Namespace may claim it, and no OIDC provider have the name: neither holds a dot.
"""
_OIDC = "oidc:"


class OidcProvider(Frozen):
    """An issuer of ID tokens, for people and for CI (OpenID Connect Core 1.0 §2).

    `claims` are globs by the claim's name, which all must match before anybody is looked at; `user` is the
    claim that logs show; `ca` is PEM, None where the issuer's certificate is a public one.
    """

    issuer: str
    audience: str
    claims: dict[str, str] = Field(default_factory=dict)
    user: str = "sub"
    ca: str | None = None

    @property
    def rules(self) -> str:
        """16 hex digits that name what it asks for: who was let in by others was not let in by these."""
        claims = (word for one in sorted(self.claims.items()) for word in one)
        return _digest(self.issuer, self.audience, self.user, *claims)


class KubernetesProvider(Frozen):
    """ServiceAccount tokens of this cluster, with this audience.

    `review`: each is also asked of the API server, which knows when its pod is gone.
    """

    audience: str
    review: bool = False

    @property
    def rules(self) -> str:
        """As an OIDC provider's."""
        return _digest(self.audience, str(self.review))


@lru_cache(maxsize=256)
def _digest(*words: str) -> str:
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]


def token(token_id: str) -> str:
    """The subject of an AccessToken."""
    return f"token:{token_id}"


def service_account(namespace: str, name: str = "*") -> str:
    """The subject of one ServiceAccount, or of all of its namespace."""
    return f"serviceaccount:{namespace}/{name}"


def oidc(provider: str, claims: Mapping[str, str]) -> str:
    """The subject of those whose ID tokens have these claims: the same claims give the same text."""
    return f"{_OIDC}{provider}:{json.dumps(dict(sorted(claims.items())), separators=(',', ':'))}"


def claims_of(subject: str, provider: str) -> dict[str, str] | None:
    """The claims that a subject of this provider asks for; None where it is another's, or no OIDC at all."""
    beginning = f"{_OIDC}{provider}:"
    if not subject.startswith(beginning):
        return None
    try:
        read: Any = json.loads(subject[len(beginning) :])
    except ValueError:
        return None
    good = isinstance(read, dict) and read and all(isinstance(one, str) for one in read.values())
    return read if good else None
