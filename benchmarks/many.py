"""`make bench-many`: 10,000 AccessTokens and 1,000 Namespaces in the one Registry of the cluster."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import time
from collections.abc import Iterable
from typing import Any

import aiohttp

from benchmarks.api import GROUP, kubernetes, password, until
from benchmarks.memory import resident
from benchmarks.table import Row, median, table
from benchmarks.tokens import propagation
from benchmarks.turning import Robot, Turning
from quickstart.story import REGISTRY, TENANT
from tests.e2e.conftest import telling
from tests.e2e.platform import OPERATOR, REPLICA, Platform, consent, resource

_ACCOUNTS = 10
_AT_ONCE = 16
_CHANGES = 100
_PATIENCE = 1800.0  # seconds


def main() -> int:
    words = _parser().parse_args()
    with telling("roadstead-bench", loopback="127.0.92.") as stage, stage.open_to_all():
        rows = asyncio.run(_measure(stage, words.tokens, words.namespaces, turn=words.turn))
    print(f"\n{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(table(rows))
    return 0 if all(row.met for row in rows) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.many", description=__doc__)
    parser.add_argument("--tokens", type=int, default=10_000)
    parser.add_argument("--namespaces", type=int, default=1_000)
    parser.add_argument("--turn", action="store_true", help="each token gets a new password")
    return parser


async def _measure(stage: Platform, tokens: int, namespaces: int, *, turn: bool) -> list[Row]:
    accounts = [f"many-{number}" for number in range(_ACCOUNTS)]
    for account in accounts:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": account}}
        stage.kubectl.apply(namespace, consent(account))
    among = f", among {tokens:,} tokens and {namespaces:,} namespaces"
    async with kubernetes(stage) as api:
        begun = time.monotonic()
        await _post(api, "namespaces", (_claim(accounts, number) for number in range(namespaces)))
        await _post(api, "accesstokens", (_token(accounts, number, namespaces) for number in range(tokens)))
        made = time.monotonic() - begun
        await until(lambda: _ready(api, accounts, tokens), _PATIENCE)
        took = time.monotonic() - begun
        print(f"made in {made:.0f} s, in force in {took:.0f} s", file=sys.stderr, flush=True)
        rows = await propagation(stage, _CHANGES, among)
        rows += _memory(stage, among)
        print(table(rows), file=sys.stderr, flush=True)
        if turn:
            robots = await _robots(stage, api, accounts, tokens)
            rows += await Turning(api, stage.client(""), robots).rows(among)
    return rows


async def _robots(
    stage: Platform, api: aiohttp.ClientSession, accounts: list[str], tokens: int
) -> list[Robot]:
    """All tokens, with the image of their account, which the first token of the account has pushed."""
    digests = []
    for number, account in enumerate(accounts):
        secret = await password(api, account, f"robot-{number}")
        digests.append(await stage.client(secret).push_image(_image(number), "1", account.encode()))
    return [
        Robot(accounts[number % _ACCOUNTS], f"robot-{number}", _image(number), digests[number % _ACCOUNTS])
        for number in range(tokens)
    ]


def _image(number: int) -> str:
    """The repository that all tokens of this one's account share."""
    return f"many-{number % _ACCOUNTS}/image"


async def _post(api: aiohttp.ClientSession, plural: str, objects: Iterable[dict[str, Any]]) -> None:
    waiting = iter(objects)

    async def post() -> None:
        for one in waiting:
            async with api.post(f"{GROUP}/{one['metadata']['namespace']}/{plural}", json=one) as answer:
                answer.raise_for_status()

    await asyncio.gather(*(post() for _ in range(_AT_ONCE)))


def _claim(accounts: list[str], number: int) -> dict[str, Any]:
    reference = {"name": REGISTRY, "namespace": TENANT}
    spec = {"registryRef": reference, "name": f"many-{number}"}
    return resource("Namespace", f"many-{number}", accounts[number % _ACCOUNTS], spec)


def _token(accounts: list[str], number: int, namespaces: int) -> dict[str, Any]:
    spec = {
        "registryRefs": [{"name": REGISTRY, "namespace": TENANT}],
        "permissions": [
            {
                "repositories": [f"many-{number % namespaces}/**", _image(number)],
                "actions": ["pull", "push"],
            }
        ],
    }
    return resource("AccessToken", f"robot-{number}", accounts[number % _ACCOUNTS], spec)


async def _ready(api: aiohttp.ClientSession, accounts: list[str], tokens: int) -> bool:
    await asyncio.sleep(5)
    ready = 0
    for account in accounts:
        async with api.get(f"{GROUP}/{account}/accesstokens") as answer:
            found = (await answer.json())["items"]
        ready += sum(1 for one in found if _is_ready(one))
    print(f"{ready:,} tokens are ready", file=sys.stderr, flush=True)
    return ready == tokens


def _is_ready(one: dict[str, Any]) -> bool:
    conditions = one.get("status", {}).get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _memory(stage: Platform, among: str) -> list[Row]:
    replicas = {pod["metadata"]["name"] for pod in stage.kubectl.list("pod", "-n", TENANT, "-l", REPLICA)}
    found = resident(stage)
    operators = [mib for pod, mib in found.items() if pod.startswith(f"{OPERATOR[0]}-")]
    return [
        median(f"runtime replica{among}, resident", "MiB", [found[name] for name in replicas], 150),
        median(f"operator{among}, resident", "MiB", [max(operators)], 300),
    ]


if __name__ == "__main__":
    sys.exit(main())
