"""`python -m benchmarks.vouching`: what a login with an ID token costs, once the issuer's keys are known.

One process, no network: from the password to the signed bearer, with a thousand Namespaces that each let
thirty repositories of a CI in, by their names and by globs.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import get_default_algorithms

from benchmarks.table import Row, median, table
from registry_runtime.auth.gate import Asker, Gate
from registry_runtime.auth.id_token import KeySet, Published
from registry_runtime.auth.identity import Endpoint
from registry_runtime.auth.scope import Scopes
from registry_runtime.auth.throttle import Throttle
from registry_runtime.auth.tokens import Bearers
from registry_runtime.auth.vouched import Subjects
from registry_runtime.auth.vouching import Vouching
from registry_runtime.contract.policy import Access, Action, Claim, Policy
from registry_runtime.contract.subject import KubernetesProvider, OidcProvider, oidc

NAMESPACES, EACH = 1_000, 30
_LOGINS = 2_000
_ROUNDS = 5
_CI, _CLUSTER, _AUDIENCE = "https://ci.example", "https://kubernetes.default.svc", "registry"
_PULL = frozenset({Action.PULL, Action.LIST})


def main() -> int:
    whole = policy()
    rows = [
        median("CPU of finding the subjects of another policy", "ms", _index(whole), 250),
        *asyncio.run(_logins(whole)),
    ]
    print(f"\n{platform.platform()}, {os.cpu_count()} cores; {NAMESPACES * EACH:,} subjects\n")
    print(table(rows))
    return 0 if all(row.met for row in rows) else 1


def policy() -> Policy:
    """One in thirty is a glob of all repositories of an owner."""
    claims = {}
    for number in range(NAMESPACES):
        names = [f"owner-{number}/repository-{one}" for one in range(EACH - 1)]
        subjects = tuple(oidc("ci", {"repository": name}) for name in [*names, f"owner-{number}/*"])
        access = (Access(repositories=(f"team-{number}/**",), actions=_PULL, subjects=subjects),)
        claims[f"team-{number}"] = Claim(account="a", owner="a", access=access)
    providers = {"ci": OidcProvider(issuer=_CI, audience=_AUDIENCE)}
    return Policy(namespaces=claims, oidc=providers, kubernetes=KubernetesProvider(audience=_AUDIENCE))


def _index(whole: Policy) -> list[float]:
    took = []
    for _ in range(_ROUNDS):
        begun = time.process_time()
        Subjects(whole)
        took.append((time.process_time() - begun) * 1000)
    return took


async def _logins(whole: Policy) -> list[Row]:
    keys: dict[str, Any] = {
        "RS256": rsa.generate_private_key(65537, 2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
    }
    published = KeySet({"keys": [_public(name, key) for name, key in keys.items()]})
    login = _door(whole, published)
    cases = [
        ("CI, RS256", _CI, "RS256", {"repository": "owner-7/repository-7"}),
        ("CI, ES256", _CI, "ES256", {"repository": "owner-7/repository-7"}),
        ("a ServiceAccount, RS256", _CLUSTER, "RS256", {"sub": "system:serviceaccount:shop:web"}),
    ]
    rows = []
    for what, issuer, algorithm, more in cases:
        now = int(time.time())
        claims = {"iss": issuer, "aud": _AUDIENCE, "sub": "a", "iat": now, "exp": now + 3600, **more}
        text = jwt.encode(claims, keys[algorithm], algorithm, headers={"kid": algorithm})
        await login(text)
        took = []
        for _ in range(_ROUNDS):
            begun = time.process_time()
            for _ in range(_LOGINS):
                await login(text)
            took.append((time.process_time() - begun) / _LOGINS * 1e6)
        rows.append(median(f"CPU of a login of {what}", "µs", took, 1000))
    return rows


def _public(name: str, key: Any) -> dict[str, Any]:
    return {**get_default_algorithms()[name].to_jwk(key.public_key(), as_dict=True), "kid": name, "alg": name}


def _door(whole: Policy, published: KeySet) -> Callable[[str], Any]:
    class Cluster:
        async def published(self) -> Published:
            return Published(_CLUSTER, published)

        async def reviewed(self, token: str, audience: str) -> str | None:
            raise NotImplementedError

    async def ask(provider: OidcProvider) -> Published:
        return Published(provider.issuer, published)

    def clock() -> datetime:
        return datetime.now(UTC)

    throttle = Throttle(clock=time.monotonic)
    gate = Gate(lambda: whole, Bearers.generate("a/b"), throttle, bearer_seconds=300, clock=clock)
    vouching = Vouching(lambda: whole, gate, ask, Cluster(), clock=clock, ticks=time.monotonic)
    scopes = Scopes.parse(["repository:team-7/app:pull"])

    async def login(text: str) -> None:
        identity = await vouching.identify(text, "192.0.2.1", scopes)
        gate.issue(Asker(identity, Endpoint.PUBLIC), scopes)

    return login


if __name__ == "__main__":
    sys.exit(main())
