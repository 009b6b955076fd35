"""Requests to the object store as they are counted, and, where somebody wants that, traced."""

from __future__ import annotations

import time

from registry_runtime.metrics import Metrics

UNANSWERED = "none"


class Call:
    """One request on its way."""

    __slots__ = ("_began", "_metrics", "_operation")

    def __init__(self, metrics: Metrics, operation: str) -> None:
        self._metrics = metrics
        self._operation = operation
        self._began = time.perf_counter()

    def end(self, code: int | None, *, throttled: bool = False) -> None:
        """`code` is the status of the answer, None where there was none."""
        metrics, operation = self._metrics, self._operation
        metrics.s3_requests.add(1, operation, UNANSWERED if code is None else str(code))
        metrics.s3_seconds.observe(time.perf_counter() - self._began, operation)
        if throttled:
            metrics.s3_throttled.add(1, operation)


class Calls:
    """Who makes a request begins it here, and ends what it is given."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def begin(self, operation: str, key: str | None = None, attempt: int = 1) -> Call:  # noqa: ARG002
        """`operation` by S3's name, on an object or (no key) the bucket; `attempt` counts from 1."""
        if attempt > 1:
            self._metrics.s3_retries.add(1, operation)
        return Call(self._metrics, operation)

    def throttled(self, operation: str) -> None:
        """An answer that is a success asks for fewer requests all the same."""
        self._metrics.s3_throttled.add(1, operation)
