"""Trying again: with jitter, and within a budget, so that a storage in trouble is not given more."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

ATTEMPTS = 5
_BASE = 0.05  # seconds
_MOST = 3.0


@dataclass
class Budget:
    """Retries that may still be made; each success pays a tenth of one back.

    As gRPC throttles them: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
    """

    most: float = 100.0
    left: float = 100.0

    def succeed(self) -> None:
        self.left = min(self.most, self.left + 0.1)

    def spend(self) -> bool:
        """Whether one more retry may be made."""
        if self.left < 1:
            return False
        self.left -= 1
        return True


def delay(attempt: int) -> float:
    """Seconds before the retry with this number (from 1), any up to a bound that grows.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ calls it full jitter.
    """
    return random.uniform(0, min(_MOST, _BASE * 3**attempt))


async def pause(attempt: int) -> None:
    await asyncio.sleep(delay(attempt))
