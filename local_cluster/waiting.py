"""Waiting for what no event announces: asking ever more slowly, up to a deadline."""

import time
from collections.abc import Callable

from local_cluster.errors import TookTooLong

FIRST_PAUSE = 0.005
LONGEST_PAUSE = 0.1


def until(ready: Callable[[], bool], seconds: float, complaint: Callable[[], str]) -> None:
    """Returns as soon as `ready()` is true. Raises TookTooLong with the complaint after `seconds`.

    `ready` may raise: what cannot come any more is reported at once.
    """
    end = time.monotonic() + seconds
    pause = FIRST_PAUSE
    while not ready():
        if time.monotonic() > end:
            raise TookTooLong(f"{complaint()} (waited {seconds:.0f} s)")
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)
