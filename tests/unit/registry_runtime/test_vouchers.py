"""What a replica tells of those who vouch: its right to have tokens reviewed, and issuers that are away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from registry_runtime.contract.policy import Policy
from registry_runtime.contract.subject import KubernetesProvider
from registry_runtime.state import StateBoard
from registry_runtime.vouchers import Issuers, Reviewing

NOBODY = Policy()
OFFLINE, REVIEWED = (
    Policy(kubernetes=KubernetesProvider(audience="a", review=review)) for review in (False, True)
)


@dataclass
class Stage:
    """A replica whose cluster gives these answers, one for each question; an exception is no answer."""

    answers: Iterator[bool | Exception]
    policy: Policy = REVIEWED
    seconds: float = 0
    asked: int = 0
    board: StateBoard = field(default_factory=lambda: StateBoard("one", "", datetime.now(UTC)))

    def __post_init__(self) -> None:
        self.reviewing = Reviewing(lambda: self.policy, self.permitted, self.board, lambda: self.seconds)

    async def permitted(self) -> bool:
        self.asked += 1
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def told(self, *, after: float = 0) -> bool | None:
        """What the operator reads so many seconds later."""
        self.seconds += after
        await self.reviewing.look()
        return self.board.state.reviews_tokens


@pytest.mark.parametrize("policy", [NOBODY, OFFLINE])
async def test_a_right_that_is_not_needed_is_not_asked_for(policy: Policy) -> None:
    """Nor is what was known before told any longer."""
    stage = Stage(iter([True]))
    assert await stage.told() is True

    stage.policy = policy

    assert await stage.told(after=1000) is None
    assert stage.asked == 1


async def test_who_was_refused_asks_again_soon_and_who_was_not_later() -> None:
    """So a binding that is made, or taken away, is noticed without a login."""
    stage = Stage(iter([False, True, False]))

    assert await stage.told() is False
    assert await stage.told(after=4) is False
    assert await stage.told(after=1) is True
    assert await stage.told(after=59) is True
    assert stage.asked == 2
    assert await stage.told(after=1) is False


async def test_a_cluster_that_does_not_answer_changes_nothing() -> None:
    """What was known stays, and nothing is known at first."""
    stage = Stage(iter([OSError(), TimeoutError(), True, ValueError(), False]))

    assert [await stage.told(after=60) for _ in range(5)] == [None, None, True, True, False]


async def test_issuers_that_are_away_are_told_by_provider() -> None:
    """What they say next takes the place of what was told before."""
    board = StateBoard("one", "", datetime.now(UTC))
    told: list[dict[str, str | None]] = [{"people": "TimeoutError: "}, {"people": None}, {}]
    remaining = iter(told)

    async def look() -> dict[str, str | None]:
        return next(remaining)

    issuers = Issuers(look, board)
    for one in told:
        await issuers.look()
        assert board.state.issuers == one
