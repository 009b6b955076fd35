"""What is done again and again, on no beat that others could share."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from registry_operator.errors import ClusterError

log = logging.getLogger(__name__)


async def rounds(do: Callable[[], Awaitable[None]], period: float, first: float, trouble: str) -> None:
    """Begins after `first` seconds at most, then each `period` on average; sooner after a ClusterError.

    That is logged as `trouble`. Returns only by cancellation, or by another error.
    """
    wait = min(period, first)
    while True:
        await asyncio.sleep(wait * random.uniform(0.5, 1))
        wait = 1.5 * period
        try:
            await do()
        except ClusterError as error:
            log.warning(trouble, extra={"error": error.message})
            wait = period / 4
