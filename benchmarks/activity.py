"""`python -m benchmarks.activity`: what telling who used what costs, a replica and the operator.

No cluster and no network: the functions that run at each request, at each question of the operator and in
each of its rounds, with ten thousand AccessTokens that are all in use.
"""

from __future__ import annotations

import os
import platform
import sys
import time
import timeit
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from registry_operator.activity import Uses
from registry_operator.cache import Cache
from registry_operator.checks.access_token import judge
from registry_operator.desired.access_token import render
from registry_operator.models import AccessToken, Key
from registry_operator.observed import TokenActivity, TokenObserved
from registry_operator.settings import Settings

from benchmarks.access import NAMESPACES, TOKENS, policy
from benchmarks.table import Row, median, p99, table
from registry_runtime.activity import KINDS, PARTIES, ActivityBoard, Refused
from registry_runtime.api.activity import note
from registry_runtime.api.trace import Trace
from registry_runtime.auth.decision import Reason
from registry_runtime.auth.identity import Endpoint
from registry_runtime.contract.activity import Activity
from registry_runtime.contract.credential import Password, token_id
from registry_runtime.contract.policy import Action, Policy

REPLICAS = 12
_ROUNDS = 5
_CALLS = 200_000
_MANIFEST_GET = 40.6  # microseconds of CPU: 24,618 a second and core, benchmarks/README.md


def main() -> int:
    ids = [token_id(f"uid-{number}") for number in range(TOKENS)]
    whole = policy([Password.generate(one) for one in ids])
    rows = [*_replica(whole, ids), *_operator(ids)]
    print(f"\n{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{TOKENS:,} tokens, {NAMESPACES:,} namespaces, {REPLICAS} replicas\n")
    print(table(rows))
    return 0 if all(row.met for row in rows) else 1


def _replica(whole: Policy, ids: list[str]) -> list[Row]:
    board = ActivityBoard(lambda: whole)
    trace = Trace(Endpoint.PUBLIC, who=ids[0], reason=Reason.GRANTED)
    clock: Any = {"timer": time.process_time, "number": _CALLS, "repeat": _ROUNDS}
    each = timeit.repeat(lambda: note(board, {}, trace, 200), **clock)
    bare = timeit.repeat(lambda: None, **clock)
    noted = [(one - least) / _CALLS * 1e6 for one, least in zip(each, bare, strict=True)]
    tracemalloc.start()
    _fill(board, ids)
    board.fold()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    cursor = _read(board)
    return [
        median("a request is noted", "µs", noted, _MANIFEST_GET / 100),
        Row("all tokens used, as many refusals as are kept: memory of a replica", "MiB", held / 2**20, 8, ""),
        median("the operator asks, nothing is new", "ms", _times(lambda: board.changes(cursor)), 10),
        median("the operator asks, everything is new, all pages", "ms", _times(lambda: _read(board)), 250),
    ]


def _fill(board: ActivityBoard, ids: list[str]) -> None:
    for one in ids:
        board.use(one)
    for number in range(PARTIES):
        for kind in range(KINDS):
            name = f"team-{number}/repository-{kind}"
            for who in (ids[number], None):
                refused = Refused(who, "", f"team-{number}", name, Action.PUSH, Reason.NOT_GRANTED, "public")
                board.refuse(refused)


def _read(board: ActivityBoard) -> str:
    """All pages; the last cursor."""
    cursor: str | None = None
    while True:
        page = board.changes(cursor)
        page.model_dump_json(exclude_defaults=True)
        cursor = page.cursor
        if not page.more:
            return cursor


def _operator(ids: list[str]) -> list[Row]:
    cache, harbour = Cache(), Key("harbour", "harbour")
    for number in range(TOKENS):
        one = _token(number)
        cache.see_token(one.key, one)
    uses, second = Uses(cache), int(time.time()) - 3600
    heard = []
    for _ in range(_ROUNDS):
        second += 60
        told = Activity(epoch="e", cursor="", used=dict.fromkeys(ids, second))
        begun = time.process_time()
        for _ in range(REPLICAS):
            uses.hear(harbour, told, datetime.now(UTC))
        heard.append((time.process_time() - begun) * 1e3)
    rounds = []
    for number in range(50):
        begun = time.process_time()
        uses.due(float(number))
        rounds.append((time.process_time() - begun) * 1e3)
    return [
        median(f"the operator hears of all tokens from {REPLICAS} replicas", "ms", heard, 500),
        p99("a round of the operator, all tokens behind", "ms", rounds, 100),
        median("a status judged anew, children rendered", "ms", _times(_judged(_token(0))), 5),
    ]


def _token(number: int) -> AccessToken:
    metadata = {"name": f"robot-{number}", "namespace": "harbour", "uid": f"uid-{number}", "generation": 1}
    made = {"creationTimestamp": "2026-11-21T12:00:00Z", "resourceVersion": "1"}
    spec = {
        "registryRefs": [{"name": "harbour"}],
        "permissions": [{"repositories": ["team/**"], "actions": ["pull"]}],
    }
    return AccessToken.parse({"metadata": metadata | made, "spec": spec})


def _judged(token: AccessToken) -> Callable[[], object]:
    seen = TokenObserved(token, datetime.now(UTC), activity=TokenActivity(datetime.now(UTC)))
    settings = Settings(image="none")

    def once() -> object:
        return render(seen), judge(seen, settings).document()

    return once


def _times(call: Callable[[], object]) -> list[float]:
    """Milliseconds of CPU."""
    found = []
    for _ in range(_ROUNDS):
        begun = time.process_time()
        call()
        found.append((time.process_time() - begun) * 1e3)
    return found


if __name__ == "__main__":
    sys.exit(main())
