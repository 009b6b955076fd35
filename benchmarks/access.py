"""`make bench-access`: decisions, logins and memory with ten thousand tokens in one Registry.

One replica on a directory, with the interpreter that its image has; no cluster. The table says microseconds
of CPU where the goal is a number a second and core: a thousand of these are 1,000 µs each.
"""

from __future__ import annotations

import base64
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.peers import loads
from benchmarks.peers.ground import SERVICE, Ground, ground
from benchmarks.peers.roadstead import image_python, roadstead
from benchmarks.peers.server import Server
from benchmarks.table import Row, median, p99, table
from registry_runtime.auth.decision import decide
from registry_runtime.auth.identity import Endpoint, Identity
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract import subject
from registry_runtime.contract.credential import Password, token_id
from registry_runtime.contract.policy import Access, Action, Claim, Grant, Policy, Token, packed
from registry_runtime.contract.subject import KubernetesProvider
from registry_runtime.policy import PolicyFollower

TOKENS, NAMESPACES = 10_000, 1_000
_DECISIONS = 100_000
_ROUNDS = 5
_SECONDS = 3.0
_PULL = frozenset({Action.PULL, Action.LIST})
_FOLDER = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it


def main() -> int:
    passwords = [Password.generate(token_id(f"uid-{number}")) for number in range(TOKENS)]
    whole = policy(passwords)
    rows = [_decision(whole)]
    with (
        tempfile.TemporaryDirectory(dir=_FOLDER if _FOLDER.is_dir() else None) as folder,
        ground(Path(folder) / "ground", "directory", tls=False, s3_tls=False) as place,
    ):
        rows += [_change(whole, Path(folder)), *_serving(place, whole, passwords)]
    print(f"\n{platform.platform()}, {os.cpu_count()} cores; {TOKENS:,} tokens, {NAMESPACES:,} namespaces\n")
    print(table(rows))
    return 0 if all(row.met for row in rows) else 1


def policy(passwords: Sequence[Password]) -> Policy:
    """Each namespace has an account of its own with ten tokens, and lets pods and another's token in."""
    names = [f"team-{number}" for number in range(NAMESPACES)]
    tokens = {
        password.id: Token(
            account=names[number % NAMESPACES],
            owner=f"uid-of-{names[number % NAMESPACES]}",
            hashes=(password.sha256,),
            grants=(Grant(repositories=(f"{names[number % NAMESPACES]}/**",), actions=_PULL),),
        )
        for number, password in enumerate(passwords)
    }
    claims = {
        name: Claim(account=name, owner=f"uid-of-{name}", access=_shared(name, passwords[-1 - number]))
        for number, name in enumerate(names)
    }
    return Policy(namespaces=claims, tokens=tokens, kubernetes=KubernetesProvider(audience=SERVICE))


def _shared(name: str, guest: Password) -> tuple[Access, ...]:
    subjects = (subject.service_account(name), subject.token(guest.id))
    return (Access(repositories=(f"{name}/app/*",), actions=_PULL, subjects=subjects),)


def _decision(whole: Policy) -> Row:
    """Of tokens at home, guests and pods in turn, for a repository that nobody asked for lately."""
    now, cases = datetime.now(UTC), list(_cases(whole))
    took = []
    for identity, name in cases:
        begun = time.perf_counter_ns()
        found = decide(whole, identity, Endpoint.PUBLIC, name, Action.PULL, now=now)
        took.append((time.perf_counter_ns() - begun) / 1000)
        assert found.allowed
    return p99("a decision", "µs", took, 20)


def _cases(whole: Policy) -> Iterator[tuple[Identity, RepositoryName]]:
    chance = random.Random(7)
    ids, names = list(whole.tokens), list(whole.namespaces)
    for turn in range(_DECISIONS):
        number = chance.randrange(NAMESPACES)
        name = names[number]
        pods = frozenset({subject.service_account(name, "web"), subject.service_account(name)})
        asking = (
            Identity(ids[number + NAMESPACES * chance.randrange(TOKENS // NAMESPACES)]),
            Identity(ids[-1 - number]),
            Identity(provider="kubernetes", subjects=pods),
        )
        yield asking[turn % 3], RepositoryName.parse(f"{name}/app/{chance.randrange(10_000)}")


def _change(whole: Policy, folder: Path) -> Row:
    """What a replica does when a token of one of four shards is another: nothing else runs meanwhile."""
    ids = list(whole.tokens)
    parts = {
        folder / f"shard-{number}": Policy(
            tokens={one: whole.tokens[one] for one in ids[number::4]},
            namespaces=whole.namespaces if number == 0 else {},
        )
        for number in range(4)
    }
    follower = PolicyFollower({file.name: file for file in parts}, start=None, changed=lambda: None)
    took = []
    for number in range(4 * _ROUNDS + 4):
        file, part = list(parts.items())[number % 4]
        id_, token = next(iter(part.tokens.items()))
        part.tokens[id_] = token.model_copy(update={"suspended": not token.suspended})
        file.write_bytes(packed(part.encode()))
        begun = time.perf_counter()
        follower.poll()
        took.append((time.perf_counter() - begun) * 1000)
    assert follower.policy().size == whole.size
    return median("a change of the policy, within a replica", "ms", took[4:], 100)


def _serving(place: Ground, whole: Policy, passwords: Sequence[Password]) -> list[Row]:
    with roadstead(place, image_python(), 1, policy=whole) as server:
        logins = _logins(server, passwords)
        return [
            median("CPU of a login, by password", "µs", logins, 1000),
            median("replica, resident after logins", "MiB", [server.memory()], 150),
        ]


def _logins(server: Server, passwords: Sequence[Password]) -> list[float]:
    """As docker asks for a bearer that pulls one repository; a token of its own in each round."""
    took = []
    for number in range(_ROUNDS):
        basic = base64.b64encode(f"robot:{passwords[number].text}".encode()).decode()
        asked = f"/token?service={SERVICE}&scope=repository:team-{number}/app/web:pull"
        sample = loads.wrk(replace(server, authorization=f"Basic {basic}"), asked, _SECONDS)
        assert sample.cpu
        took.append(sample.cpu / sample.amount * 1e6)
    print(f"logins a second: {1e6 / statistics.median(took):,.0f} by core", file=sys.stderr)
    return took


if __name__ == "__main__":
    sys.exit(main())
