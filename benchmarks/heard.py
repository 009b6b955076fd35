"""`python -m benchmarks.heard`: CPU from what a watch told to whom it concerns, by the size of a fleet.

One process, no network. Each Registry has ten AccessTokens with pull Secrets, with the same names in all
tenants, as have the ServiceAccounts that use them. What grows with the fleet makes it slower as it grows.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable

from registry_operator.cache import Cache
from registry_operator.concerns import Concerns
from registry_operator.models import Key
from registry_operator.observed import KubernetesNamespace, ServiceAccount

from benchmarks.table import Row, median, table
from tests.unit.operator import harbour

SIZES = (100, 1_000)
TOKENS = 10
_EVENTS = 50  # a round
_ROUNDS = 5
_BAR = 1000  # µs: at a thousand events a second the operator would do nothing else


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.heard", description=__doc__)
    parser.add_argument("--selectors", action="store_true", help="targets by labels instead of by name")
    selectors = parser.parse_args().selectors
    rows = [row for size in SIZES for row in heard(fleet(size, selectors=selectors), f"{size:,} Registries")]
    print(f"\n{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(table(rows))
    return 0 if all(row.met for row in rows) else 1


def heard(cache: Cache, among: str) -> list[Row]:
    """Microseconds an event."""
    concerns, versions = Concerns(cache), iter(range(10, 1_000_000))

    def account(number: int) -> None:
        version = str(next(versions))
        seen = ServiceAccount(version, (f"theirs-{version}",), {}, f"uid-{number}")
        cache.see_service_account(Key(tenant(number), "default"), seen)

    def labels(number: int) -> None:
        name = tenant(number)
        seen = {"team": name, "seen": str(next(versions))}
        cache.see_account(name, KubernetesNamespace(name, f"uid-{name}", seen))

    def secret(number: int) -> None:
        concerns.of_secret(Key(tenant(number), "ci-1-pull"), ())

    def consent(number: int) -> None:
        concerns.of_consent(tenant(number))

    events = {"ServiceAccount": account, "Secret": secret, "consent": consent, "label": labels}
    return [median(f"{among}: {of}", "µs", _rounds(event), _BAR) for of, event in events.items()]


def fleet(size: int, *, selectors: bool) -> Cache:
    """So many tenants, and nothing heard of their ServiceAccounts yet."""
    cache = Cache()
    for name in map(tenant, range(size)):
        cache.see_account(name, KubernetesNamespace(name, f"uid-{name}", {"team": name}))
        into = {"selector": {"matchLabels": {"team": name}}} if selectors else {"namespaces": [name]}
        pulls = {**into, "serviceAccounts": ["default"]}
        for one in range(TOKENS):
            token = harbour.token(f"ci-{one}", name, pullSecrets=pulls)
            cache.see_token(token.key, token)
    return cache


def tenant(number: int) -> str:
    return f"team-{number}"


def _rounds(event: Callable[[int], None]) -> list[float]:
    took = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        for number in range(_EVENTS):
            event(number)
        took.append((time.process_time() - began) * 1e6 / _EVENTS)
    return took


if __name__ == "__main__":
    sys.exit(main())
