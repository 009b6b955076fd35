"""What must be true of every status that is ever written, whatever happened to the resource."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.unit.operator.documented import reasons
from tests.unit.operator.kstatus import compute

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCUMENTED = reasons()
NEVER, NOW = "", "2026-11-21T12:00:00Z"
TROUBLE = ("Reconciling", "Stalled")


@dataclass
class Told:
    """The last status of one resource, and what was true when it was written.

    `holds`: what is declared in this generation was there. `fault`: there was something that only somebody's
    doing mends.
    """

    generation: int = 1
    deleted: bool = False
    status: dict[str, Any] = field(default_factory=lambda: {"observedGeneration": -1})
    holds: bool = False
    fault: bool = False
    looked: int = 0  # the generation of the last look
    held: int = 0  # the generation of which it was once so

    def write(self, status: dict[str, Any], now: str, *, holds: bool, fault: bool) -> None:
        """A look, and what it found."""
        before = {one["type"]: one for one in self.status.get("conditions", ())}
        for one in status["conditions"]:
            old = before.get(one["type"])
            same = old is not None and old["status"] == one["status"]
            since = old["lastTransitionTime"] if old and same else now
            assert one["lastTransitionTime"] == since, (old, one)
        assert status["observedGeneration"] == self.generation
        self.status, self.holds, self.fault, self.looked = status, holds, fault, self.generation
        self.held = self.generation if holds else self.held

    @property
    def read(self) -> str:
        """What kstatus makes of it."""
        metadata = {"generation": self.generation, "deletionTimestamp": NEVER if not self.deleted else NOW}
        return compute({"metadata": metadata, "status": self.status})

    def check(self) -> None:
        """At every moment, also between two looks."""
        read, conditions = self.read, {one["type"]: one for one in self.status.get("conditions", ())}
        if self.deleted:
            assert read == "Terminating"
            return
        if read == "Current":
            assert self.looked == self.generation
            assert self.holds, self.status
        if read == "Failed":
            assert self.fault, self.status
        if not conditions:
            assert read == "InProgress"
            return
        consistent(self.generation, self.status)
        ready = conditions["Ready"]
        if ready["status"] == "True":  # who waits for this condition alone reads it of the same generation
            assert self.held == ready["observedGeneration"], self.status


def consistent(generation: int, status: Mapping[str, Any]) -> None:
    """What the conditions of one status say agrees, and somebody finds the reason in the documentation."""
    conditions = {one["type"]: one for one in status["conditions"]}
    ready = conditions["Ready"]
    said = [kind for kind in TROUBLE if conditions[kind]["status"] == "True"]
    assert len(said) <= 1, status
    assert said or ready["status"] == "True", status
    assert all(conditions[kind]["message"] for kind in said), status
    assert ready["observedGeneration"] == status["observedGeneration"] <= generation, status
    for one in conditions.values():
        assert one["observedGeneration"] <= status["observedGeneration"], one
        assert one["reason"] in DOCUMENTED, one
