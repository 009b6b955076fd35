"""Every version of every resource of Roadstead's that a real API server ever had, and whether it was true."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tests.operator.apiserver import Refusal
from tests.operator.operator_process import ROADSTEAD, wait
from tests.unit.operator.kstatus import compute
from tests.unit.operator.told import consistent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.operator.apiserver import ApiServer, Object

PLURALS = ("registries", "namespaces", "accesstokens")


@dataclass
class Recorded:
    """What was not true by the rules of kstatus."""

    faults: list[str] = field(default_factory=list)
    _before: dict[str, Object] = field(default_factory=dict)  # the last version, by UID

    def see(self, obj: Object) -> None:
        read = compute(obj)
        try:
            self._check(obj, read, self._before.get(obj["metadata"]["uid"], {}))
        except (AssertionError, KeyError) as fault:
            metadata = obj["metadata"]
            place = f"{obj['kind']} {metadata['namespace']}/{metadata['name']}@{metadata['resourceVersion']}"
            self.faults.append(f"{place}: {fault!r}")
        self._before[obj["metadata"]["uid"]] = obj

    @staticmethod
    def _check(obj: Object, read: str, before: Object) -> None:
        generation, status, old = obj["metadata"]["generation"], obj["status"], before.get("status") or {}
        if not status.get("conditions"):
            assert read in {"InProgress", "Terminating"}
            return
        consistent(generation, status)
        ready = next(one for one in status["conditions"] if one["type"] == "Ready")
        if read == "Current":
            assert (ready["status"], ready["observedGeneration"]) == ("True", generation), status
        assert old.get("observedGeneration", -1) <= status["observedGeneration"], (old, status)
        known = {one["type"]: one for one in old.get("conditions") or ()}
        for one in status["conditions"]:
            was = known.get(one["type"], one)
            since = one["lastTransitionTime"] == was["lastTransitionTime"]
            assert since or one["status"] != was["status"], (was, one)


@contextmanager
def recorded(server: ApiServer) -> Iterator[Recorded]:
    """Of the time of the block; at its end nothing may have been untrue."""
    found, ended = Recorded(), threading.Event()

    def follow(plural: str, version: str | None) -> None:
        while not ended.wait(0 if version else 0.1):
            try:
                for obj in server.since(f"{ROADSTEAD}/{plural}", version or ""):
                    version = obj["metadata"]["resourceVersion"]
                    found.see(obj)
            except Refusal:  # a test took the CRD away, or the versions are gone
                version = _newest(server, plural)

    threads = []
    for plural in PLURALS:
        version = wait(partial(_newest, server, plural))
        threads.append(threading.Thread(target=follow, args=(plural, version), daemon=True))
        threads[-1].start()
    try:
        yield found
    finally:
        ended.set()
        for thread in threads:
            thread.join(10)
    assert found.faults == []


def _newest(server: ApiServer, plural: str) -> str | None:
    """The version to watch from; None before the API server serves the kind."""
    try:
        found: str = server.ask("GET", f"{ROADSTEAD}/{plural}")["metadata"]["resourceVersion"]
    except Refusal:
        return None
    return found
