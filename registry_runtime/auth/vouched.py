"""From claims that were verified to an identity, and to the subjects of the policy that it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from registry_runtime.auth.decision import Reason
from registry_runtime.auth.globs import matches
from registry_runtime.auth.id_token import IdTokenRefused
from registry_runtime.auth.identity import Identity, service_account
from registry_runtime.auth.scope import Scopes
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract import subject
from registry_runtime.contract.policy import Policy
from registry_runtime.contract.subject import KubernetesProvider, OidcProvider

_MOST = 64  # subjects of one identity
_MOST_BYTES = 4 * 1024  # of all of them: they stand in the bearer, which comes with every request
_LONGEST_NAME = 256
_LONGEST_VALUE = 1024  # characters of a claim that a glob is compared with
_SERVICE_ACCOUNT = re.compile(
    r"system:serviceaccount:([a-z0-9](?:[-a-z0-9]*[a-z0-9])?):([a-z0-9](?:[-.a-z0-9]*[a-z0-9])?)"
)

Wanted = dict[str, str]  # globs by the claim's name


class Subjects:
    """The subjects of one policy that ask for claims.

    Each is found by the beginning of one of its globs, up to the first star: of thousands few are compared.
    """

    def __init__(self, policy: Policy) -> None:
        self._beginning: dict[tuple[str, str, str], list[tuple[str, Wanted]]] = {}
        self._lengths: dict[tuple[str, str], set[int]] = {}  # of beginnings, by provider and claim
        written = {
            one for claim in policy.namespaces.values() for access in claim.access for one in access.subjects
        }
        for text in sorted(written):
            for provider in policy.oidc:
                wanted = subject.claims_of(text, provider)
                if wanted is not None:
                    self._add(provider, text, wanted)

    def _add(self, provider: str, text: str, wanted: Wanted) -> None:
        beginnings = ((name, glob.partition("*")[0]) for name, glob in wanted.items())
        name, beginning = max(beginnings, key=lambda one: len(one[1]))
        self._beginning.setdefault((provider, name, beginning), []).append((text, wanted))
        self._lengths.setdefault((provider, name), set()).add(len(beginning))

    def of(self, provider: str, claims: Mapping[str, Any]) -> set[str]:
        """Those that an ID token of this provider with these claims is."""
        near: list[tuple[str, Wanted]] = []
        for name in claims:
            lengths = self._lengths.get((provider, name), ())
            for beginning in {value[:length] for value in _values(claims, name) for length in lengths}:
                near += self._beginning.get((provider, name, beginning), ())
        return {text for text, wanted in near if fulfils(claims, wanted)}


def by_provider(
    name: str, provider: OidcProvider, claims: Mapping[str, Any], mine: Iterable[str], ends: float
) -> Identity:
    """Who has these claims of the provider. Raises IdTokenRefused."""
    audiences = claims.get("aud")
    if isinstance(audiences, list) and len(audiences) > 1 and claims.get("azp") != provider.audience:
        raise IdTokenRefused(Reason.ID_TOKEN_AUDIENCE)  # others hold it, too, and it was not given to us
    user = next(iter(_values(claims, provider.user)), "")
    if not fulfils(claims, provider.claims) or not user.isprintable() or not 0 < len(user) <= _LONGEST_NAME:
        raise IdTokenRefused(Reason.ID_TOKEN_CLAIMS)
    return Identity(
        provider=name, name=user, subjects=frozenset(mine), expires=int(ends), rules=provider.rules
    )


def by_cluster(provider: KubernetesProvider, claims: Mapping[str, Any], ends: float) -> Identity:
    """The ServiceAccount that these claims of the cluster are of. Raises IdTokenRefused."""
    found = _SERVICE_ACCOUNT.fullmatch(str(claims.get("sub")))
    if found is None:
        raise IdTokenRefused(Reason.ID_TOKEN_CLAIMS)
    return replace(service_account(*found.groups()), expires=int(ends), rules=provider.rules)


def fulfils(claims: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    """Whether each glob matches its claim, or one element of it."""
    return all(any(matches(glob, value) for value in _values(claims, name)) for name, glob in wanted.items())


def few(mine: Iterable[str], policy: Policy, asked: Scopes) -> frozenset[str]:
    """As many as a bearer can carry; first those of the Namespaces that are asked for.

    So nobody is crowded out of one Namespace by what others write into theirs.
    """
    names = {RepositoryName(name).namespace for name in asked.repositories}
    claims = [policy.namespaces[name] for name in names if name in policy.namespaces]
    first = {one for claim in claims for access in claim.access for one in access.subjects}
    chosen: set[str] = set()
    room = _MOST_BYTES
    for one in sorted(mine, key=lambda text: (text not in first, text)):
        room -= len(json.dumps(one))
        if chosen and (room < 0 or len(chosen) == _MOST):
            break
        chosen.add(one)
    return frozenset(chosen)


def _values(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A claim as text, be it one or a list; what is neither text, number nor truth is nothing."""
    value = claims.get(name)
    texts = map(_text, value if isinstance(value, list) else [value])
    return tuple(one for one in dict.fromkeys(texts) if one is not None and len(one) <= _LONGEST_VALUE)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else None
