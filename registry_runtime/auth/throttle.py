"""Failed logins are throttled for each source and each token's id."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class _Bucket:
    level: float
    at: float


class Throttle:
    """A bounded table of token buckets that only failures empty.

    A right password always passes: an id is no secret and a source may be a whole node behind
    address translation, so otherwise anybody could lock out a robot that does nothing wrong. The
    passwords' 258 random bits keep guessing hopeless; what is protected here is the registry's
    time and the logs.
    """

    def __init__(
        self, burst: float = 20, per_second: float = 0.5, most: int = 10_000, *, clock: Callable[[], float]
    ) -> None:
        self._burst = burst
        self._per_second = per_second
        self._most = most
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def failed(self, source: str, token: str | None) -> float:
        """Counts one failed login; 0, or the seconds after which another is listened to."""
        keys = [f"source {_network(source)}", *([f"token {token}"] if token is not None else [])]
        return max(self._take(key) for key in keys)

    def _take(self, key: str) -> float:
        now = self._clock()
        bucket = self._buckets.pop(key, None) or _Bucket(self._burst, now)
        bucket.level = min(self._burst, bucket.level + (now - bucket.at) * self._per_second)
        bucket.at = now
        self._buckets[key] = bucket
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        if bucket.level < 1:
            return (1 - bucket.level) / self._per_second
        bucket.level -= 1
        return 0


def _network(source: str) -> str:
    """An IPv6 host owns a /64, and must not have 2^64 buckets."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((address, 64), strict=False))
