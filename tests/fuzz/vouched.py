"""Tokens of those who vouch, their claims, and the keys that they publish."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import jwt

from registry_runtime.auth.id_token import IdToken, IdTokenRefused, KeySet, ends, verified
from registry_runtime.auth.vouched import Subjects, by_cluster, by_provider
from registry_runtime.contract.policy import Access, Action, Claim, Policy
from registry_runtime.contract.subject import KubernetesProvider, OidcProvider, oidc
from tests.fuzz.formats import Format, as_text
from tests.issuer import jwk, private_key

_ISSUER = "https://issuer.test"
_NOW = 1_800_000_000
_CLAIMS: dict[str, Any] = {
    "iss": _ISSUER,
    "aud": "a",
    "sub": "b",
    "exp": _NOW,
    "iat": _NOW,
    "groups": ["c", 1],
}
_POD = {**_CLAIMS, "sub": "system:serviceaccount:shop:web", "aud": ["a", "b"], "azp": "a"}
_KEY = private_key("ES256")
_KEYS = {"keys": [jwk("k", "ES256", _KEY), jwk("r", "RS256", private_key("RS256"))]}
_TOKEN = jwt.encode(_CLAIMS, _KEY, "ES256", headers={"kid": "k"})
_PROVIDER = OidcProvider(issuer=_ISSUER, audience="a")
_CLUSTER = KubernetesProvider(audience="a")
_GRANTED = Access(
    repositories=("**",),
    actions=frozenset(Action),
    subjects=(oidc("p", {"groups": "c*"}), oidc("p", {"sub": "b"})),
)
_POLICY = Policy(
    namespaces={"team": Claim(account="a", owner="a", access=(_GRANTED,))}, oidc={"p": _PROVIDER}
)
_SUBJECTS, _PUBLISHED = Subjects(_POLICY), KeySet(_KEYS)


def id_token(data: bytes) -> bool:
    try:
        token = IdToken.parse(as_text(data))
        claims = verified(token, _PUBLISHED.find(token.key_id))
    except IdTokenRefused:
        return False
    assert claims == _CLAIMS, "nobody else has the key"
    return True


def claims(data: bytes) -> bool:
    """As if they had been signed."""
    try:
        read = json.loads(data)
    except (ValueError, RecursionError):
        return False
    if not isinstance(read, dict):
        return False
    mine = _SUBJECTS.of("p", read)
    assert mine <= set(_GRANTED.subjects)
    good = False
    for made in (partial(by_provider, "p", _PROVIDER, read, mine), partial(by_cluster, _CLUSTER, read)):
        try:
            identity = made(ends(read, issuer=_ISSUER, audience="a", now=_NOW))
        except IdTokenRefused:
            continue
        assert identity.expires is not None
        assert identity.expires > _NOW
        assert identity.name.isprintable()
        good = True
    return good


def keys(data: bytes) -> bool:
    try:
        found = KeySet(json.loads(data))
    except (ValueError, RecursionError):
        return False
    return bool(found.find("k"))


VOUCHED = {
    "id-token": Format(id_token, [_TOKEN.encode()]),
    "claims": Format(claims, [json.dumps(one).encode() for one in (_CLAIMS, _POD)]),
    "published-keys": Format(keys, [json.dumps(_KEYS).encode()], 4096),
}
