"""The access log: a line for every request.

Put together by hand, in the form of `registry_runtime.log`: what the logging machinery costs is a fifth of
what a pull of a manifest may.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quoted

from starlette.types import Scope

from registry_runtime.api.trace import Trace
from registry_runtime.log import Lines


class AccessLog:
    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._second = 0
        self._written = ""  # that second, as it stands in a line

    def write(self, scope: Scope, trace: Trace, status: int, seconds: float) -> None:
        """`seconds` is how long the request took."""
        client = scope.get("client")
        error = f', "error": {quoted(trace.error)}' if trace.error else ""
        self._lines.add(
            f'{{"ts": "{self._time()}", "level": "info", "logger": "registry_runtime.access", '
            f'"message": "request", "request": "{trace.id}", "endpoint": "{trace.endpoint.value}", '
            f'"method": {quoted(scope["method"])}, "path": {quoted(scope["path"])}, "status": {status}, '
            f'"bytes_in": {trace.bytes_in}, "bytes_out": {trace.bytes_out}, "ms": {seconds * 1000:.3f}, '
            f'"client": {_text(client[0] if client else None)}, "token": {_text(trace.token)}, '
            f'"reason": {_text(trace.reason)}{error}}}'
        )

    def _time(self) -> str:
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._written = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._written}.{int((now - second) * 1000):03d}+00:00"


def _text(value: str | None) -> str:
    return "null" if value is None else quoted(value)
