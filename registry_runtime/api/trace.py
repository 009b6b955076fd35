"""What is known of one request, for its line in the log and for the metrics."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from random import getrandbits

from starlette.types import Scope

from registry_runtime.auth.identity import Endpoint

ENDPOINT = "endpoint"  # keys of the ASGI scope's state: the listener puts the first one there
SECURE = "secure"
_TRACE = "trace"


@dataclass(slots=True)
class Trace:
    """Filled in as the request is understood; `id` is told to the client, so that it can be asked about."""

    endpoint: Endpoint
    id: str = field(default_factory=lambda: f"{getrandbits(64):016x}")
    started: float = field(default_factory=time.perf_counter)  # seconds of the monotonic clock
    noun: str = "unknown"
    token: str | None = None
    repository: str | None = None
    reason: str | None = None
    error: str | None = None
    bytes_in: int = 0
    bytes_out: int = 0


def begin(scope: Scope) -> Trace:
    state = scope.setdefault("state", {})
    trace = Trace(state.get(ENDPOINT, Endpoint.PUBLIC))
    state[_TRACE] = trace
    return trace


def trace_of(scope: Scope) -> Trace:
    found = scope["state"][_TRACE]
    assert isinstance(found, Trace)
    return found
