"""Headers of a request, one at a time: `Request.headers` would decode them all."""

from __future__ import annotations

from starlette.requests import Request


def given(request: Request, name: bytes) -> bytes | None:
    """The first header of this name, in small letters; None without one."""
    for header, value in request.scope["headers"]:
        if header == name:
            return bytes(value)
    return None
