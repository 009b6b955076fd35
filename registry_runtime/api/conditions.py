"""Conditional requests: an ETag is the digest (RFC 9110 §13.1.2)."""

from __future__ import annotations

from starlette.requests import Request

from registry_runtime.content.digest import Digest


def etag(digest: Digest) -> str:
    return f'"{digest}"'


def unchanged(request: Request, digest: Digest) -> bool:
    """Whether the client holds this content already."""
    held = request.headers.get("if-none-match")
    if held is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in held.split(",")}
    return "*" in tags or etag(digest) in tags
