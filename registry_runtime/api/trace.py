"""What is known of one request, for its audit record and for the metrics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import getrandbits

from starlette.types import Scope

from registry_runtime.auth.credentials import Credentials, token_of
from registry_runtime.auth.identity import Endpoint
from registry_runtime.contract.policy import Action
from registry_runtime.errors import RegistryError

ENDPOINT = "endpoint"  # keys of the ASGI scope's state: the listener puts the first one there
SECURE = "secure"
ITSELF = "self-check"  # the event of what a replica asks of itself: no client's request
_TRACE = "trace"


@dataclass(slots=True)
class Trace:
    """Filled in as the request is understood; `id` is told to the client, so that it can be asked about.

    `who` asks (`Identity.who`), `account` is its token's; `reason` is that of the decision on `action`.
    `event` is set where noun and method do not tell what was done; `more` are fields that few records have;
    `judged` is what the record says of the decision, where that is known as text already.
    """

    endpoint: Endpoint
    id: str = field(default_factory=lambda: f"{getrandbits(64):016x}")
    started: float = field(default_factory=time.perf_counter)  # seconds of the monotonic clock
    noun: str = "unknown"
    event: str | None = None
    who: str | None = None
    account: str | None = None
    action: Action | None = None
    repository: str | None = None
    reason: str | None = None
    error: str | None = None
    more: dict[str, object] | None = None
    judged: str = ""
    bytes_in: int = 0
    bytes_out: int = 0

    def note(self, name: str, value: object) -> None:
        """A field that few records have; the value is JSON."""
        self.more = {**(self.more or {}), name: value}


def begin(scope: Scope) -> Trace:
    state = scope.setdefault("state", {})
    trace = Trace(state.get(ENDPOINT, Endpoint.PUBLIC))
    state[_TRACE] = trace
    return trace


def trace_of(scope: Scope) -> Trace:
    found = scope["state"][_TRACE]
    assert isinstance(found, Trace)
    return found


@contextmanager
def claimed(trace: Trace, credentials: Credentials) -> Iterator[None]:
    """Whoever is refused in the block is known by no more than the id of the token that it claimed to be."""
    try:
        yield
    except RegistryError:
        if (token := token_of(credentials)) is not None:
            trace.note("claimed", token)
        raise
