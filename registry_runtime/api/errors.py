"""From errors to answers: the one place where OCI's error JSON is written.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
"""

from __future__ import annotations

import logging
import math
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from registry_runtime.api.host import Hosts
from registry_runtime.api.trace import trace_of
from registry_runtime.errors import (
    Denied,
    IssuerUnavailable,
    RangeNotSatisfiable,
    RegistryError,
    StorageError,
    TooManyRequests,
    Unauthorized,
)
from registry_runtime.log import fields

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 2


class ClientGone(Exception):
    """The client cut the connection, or sent less than it announced; nobody reads an answer."""


class ClientStalled(ClientGone):
    """The client is there, and neither sends nor takes anything."""


def answer(scope: Scope, error: Exception, hosts: Hosts) -> Response:
    """The answer to an error; what nobody foresaw is told by its id only, and stands in the log."""
    trace = trace_of(scope)
    trace.judged = ""  # what was granted before may be refused now
    if isinstance(error, ClientStalled):
        trace.error = str(error)
        return body(408, "UNKNOWN", str(error), headers={"Connection": "close"})
    if not isinstance(error, RegistryError):
        _log.error("unforeseen error", exc_info=error, extra=fields(request=trace.id))
        trace.error = type(error).__name__
        return body(500, "UNKNOWN", f"an internal error; the log knows it as {trace.id}")
    trace.error = f"{error.code}: {error.message}"
    trace.reason = _reason(error) or trace.reason
    trace.who = trace.who or getattr(error, "token", None)
    if isinstance(error, StorageError):
        _log.warning("the storage failed", extra=fields(request=trace.id, error=error.message))
        # What the storage said may name buckets and keys: that is for the operator, not for the client.
        return body(
            error.status,
            error.code,
            f"the storage does not answer; try again (request {trace.id})",
            headers={"Retry-After": str(_RETRY_SECONDS)},
        )
    return body(error.status, error.code, error.message, error.detail, _headers(scope, error, hosts))


def body(
    status: int, code: str, message: str, detail: Any = None, headers: dict[str, str] | None = None
) -> Response:
    entry = {"code": code, "message": message} | ({"detail": detail} if detail is not None else {})
    return JSONResponse({"errors": [entry]}, status, headers)


def _reason(error: RegistryError) -> str | None:
    """Why somebody was refused, if that is what the error says."""
    if isinstance(error, TooManyRequests):
        return "TooManyFailedLogins"
    if isinstance(error, Unauthorized | Denied):
        return error.reason or "CredentialsUnreadable"
    return error.reason if isinstance(error, IssuerUnavailable) else None


def _headers(scope: Scope, error: RegistryError, hosts: Hosts) -> dict[str, str]:
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": hosts.challenge(scope, error.scope)}
    if isinstance(error, TooManyRequests | IssuerUnavailable):
        return {"Retry-After": str(math.ceil(error.retry_after))}
    if isinstance(error, RangeNotSatisfiable) and error.size is not None:
        return {"Content-Range": f"bytes */{error.size}"}
    return {}
