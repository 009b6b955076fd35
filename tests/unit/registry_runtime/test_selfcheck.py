"""When a replica says that it passed, and when it no longer does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from registry_runtime.auth.tokens import Bearers
from registry_runtime.contract.state import SelfCheckReason, SelfCheckState
from registry_runtime.selfcheck import PERIOD, SelfCheck
from registry_runtime.state import StateBoard

PASSED = SelfCheckState(reason=SelfCheckReason.PASSED, message="fine")


class Bench:
    """A check whose outcome and clock are a test's to say."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.says, self.checks = 0.0, PASSED, 0
        self.board = StateBoard("pod", "zone-a", datetime(2026, 11, 21, tzinfo=UTC))
        self.check = SelfCheck(
            self.board,
            Bearers.generate("tests/registry"),
            tuple,
            "0.0.0.0",  # noqa: S104 - nothing listens
            secure=False,
            ticks=lambda: self.now,
        )
        monkeypatch.setattr(self.check._watch, "_check", self._checked)

    async def _checked(self, _thorough: bool) -> SelfCheckState:
        self.checks += 1
        return self.says

    @property
    def reason(self) -> SelfCheckReason:
        state = self.board.state.self_check
        assert state is not None
        return state.reason

    async def until(self, reason: SelfCheckReason) -> None:
        while self.reason is not reason:
            await self.board.newer(self.board.state.version, 10)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


async def test_it_begins_when_the_replica_is_ready(bench: Bench) -> None:
    """Before, nothing is asked: the first failure would be the start's own."""
    running = asyncio.create_task(bench.check.run())
    bench.board.update(policy_revision="0" * 16)
    await asyncio.sleep(0.01)
    assert (bench.reason, bench.checks) == (SelfCheckReason.CHECKING, 0)
    bench.board.update(ready=True)
    await bench.until(SelfCheckReason.PASSED)
    running.cancel()


async def test_a_pass_that_does_not_come_is_late(bench: Bench) -> None:
    """After twice the period, and no time is part of what is told; the next pass ends it."""
    bench.board.update(ready=True)
    running = asyncio.create_task(bench.check.run())
    await bench.until(SelfCheckReason.PASSED)
    version = bench.board.state.version
    bench.now = 2 * PERIOD
    bench.check.look()
    assert bench.board.state.version == version
    bench.now += 1
    bench.check.look()
    assert bench.reason is SelfCheckReason.LATE
    late = bench.board.state.version
    bench.now += 1
    bench.check.look()
    assert bench.board.state.version == late
    bench.check._found(PASSED)
    assert bench.board.state.version == version
    running.cancel()


async def test_a_failure_is_tried_again(bench: Bench) -> None:
    """It is told, is not late, and goes with the next pass."""
    bench.says = SelfCheckState(reason=SelfCheckReason.FAILED, message="HTTP 503")
    bench.board.update(ready=True)
    running = asyncio.create_task(bench.check.run())
    await bench.until(SelfCheckReason.FAILED)
    bench.now = 9 * PERIOD
    bench.check.look()
    assert bench.reason is SelfCheckReason.FAILED
    bench.says = PASSED
    await bench.until(SelfCheckReason.PASSED)
    running.cancel()


async def test_a_replica_that_drains_says_nothing_new(bench: Bench) -> None:
    """Its listeners close one after the other: that is no failure."""
    bench.board.update(ready=True)
    bench.check._found(PASSED)
    bench.board.update(ready=False)
    bench.check._found(SelfCheckState(reason=SelfCheckReason.FAILED, message="closed"))
    assert bench.reason is SelfCheckReason.PASSED
