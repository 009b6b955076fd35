"""Conditional requests: an ETag is the digest (RFC 9110 §13.1.2)."""

from __future__ import annotations

from starlette.requests import Request

from registry_runtime.api.headers import given
from registry_runtime.content.digest import Digest


def etag(digest: Digest) -> str:
    return f'"{digest}"'


def unchanged(request: Request, digest: Digest) -> bool:
    """Whether the client holds this content already."""
    held = given(request, b"if-none-match")
    if held is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in held.decode("latin-1").split(",")}
    return "*" in tags or etag(digest) in tags
