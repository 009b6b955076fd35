"""The line of a request, which is put together by hand."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest

from registry_runtime.api.access import AccessLog
from registry_runtime.api.trace import Trace
from registry_runtime.auth.identity import Endpoint
from registry_runtime.log import Lines


def line(path: str, trace: Trace) -> dict[str, object]:
    written = io.StringIO()
    scope = {"method": "GET", "path": path, "client": ("127.0.0.1", 4711)}
    AccessLog(Lines(written)).write(scope, trace, 200, 0.0015)
    assert written.getvalue().count("\n") == 1
    read: dict[str, object] = json.loads(written.getvalue())
    return read


def test_it_is_of_the_form_of_all_lines() -> None:
    """One object, its time in UTC, and what is not known is null."""
    read = line("/v2/", Trace(Endpoint.PRIVATE, bytes_out=7))
    now = datetime.now(UTC)
    assert abs((now - datetime.fromisoformat(str(read.pop("ts")))).total_seconds()) < 60
    assert len(str(read.pop("request"))) == 16
    assert read == {
        "level": "info", "logger": "registry_runtime.access", "message": "request", "endpoint": "private",
        "method": "GET", "path": "/v2/", "status": 200, "bytes_in": 0, "bytes_out": 7, "ms": 1.5,
        "client": "127.0.0.1", "token": None, "reason": None,
    }  # fmt: skip


@pytest.mark.parametrize("odd", ['"', "\\", "\n", "\x00", "\u2028", "ü", "\ud800"])
def test_what_a_client_chose_stays_in_its_field(odd: str) -> None:
    """Neither a quote nor a line break ends it."""
    trace = Trace(Endpoint.PUBLIC, error=f"NAME_INVALID: {odd}")
    read = line(f"/v2/{odd}/", trace)
    assert read["path"] == f"/v2/{odd}/"
    assert read["error"] == trace.error
