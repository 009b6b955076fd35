"""How much memory a server takes at most for large blobs, and for many pulls at once."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.peers import loads
from benchmarks.peers.client import Connection
from benchmarks.peers.ground import REPOSITORY
from benchmarks.peers.loads import Bulk
from benchmarks.peers.rows import Contestant

_MANY = 64
_SETTLE = 2.0


@dataclass(frozen=True)
class Footprint:
    """MiB; `bar` is Roadstead's."""

    what: str
    mib: float
    bar: float | None


def footprints(one: Contestant, bulk: Bulk, times: int, mib: int) -> list[Footprint]:
    """A blob of `times` times the bulk of `mib` MiB is pushed and pulled."""
    time.sleep(_SETTLE)
    idle = one.server.memory()
    gib = f"{times * mib / 1024:.1f} GiB"
    digest, pieces = bulk.blob(times)
    before = one.files()

    def push(connection: Connection, _number: int) -> float:
        connection.push(REPOSITORY, digest, pieces, "PATCH in chunks")
        return 1

    def pull(connection: Connection, _number: int) -> float:
        return connection.pull(f"/v2/{REPOSITORY}/blobs/{digest}")

    def pull_one(connection: Connection, number: int) -> float:
        return connection.pull(f"/v2/{REPOSITORY}/blobs/{one.blobs[number % len(one.blobs)]}")

    found = [Footprint("idle after the loads before", idle, None)]
    for what, clients, work, bar in (
        (f"push of {gib}: more than idle", 1, push, 150.0),
        (f"pull of {gib}: more than idle", 1, pull, 150.0),
        (f"{_MANY} pulls at once: in all", _MANY, pull_one, 300.0),
    ):
        one.server.forget()
        one.server.forget_peak()
        loads.together(one.server, clients, work)
        peak = one.server.memory("VmHWM")
        found.append(Footprint(what, peak if clients > 1 else peak - idle, bar))
    for file in one.files() - before:
        file.unlink(missing_ok=True)
    return found
