"""Ranges, of both kinds: bytes that a client asks for, and bytes that a chunk says it is.

https://www.rfc-editor.org/rfc/rfc9110#section-14
https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-a-blob-in-chunks
"""

from __future__ import annotations

import re

from registry_runtime.content.range import Span
from registry_runtime.errors import BlobUploadInvalid, RangeNotSatisfiable

_DIGITS = 18  # what fits 63 bits
_ASKED = re.compile(rf"bytes=\s*([0-9]{{0,{_DIGITS}}})-([0-9]{{0,{_DIGITS}}})\s*", re.IGNORECASE)
_CHUNK = re.compile(rf"(?:bytes[ =])?([0-9]{{1,{_DIGITS}}})-([0-9]{{1,{_DIGITS}}})(?:/.*)?")


def asked(header: str | None, size: int) -> Span | None:
    """The span of content of `size` bytes that a Range header means; None for all of it.

    Several ranges, and units that nobody knows, are answered with the whole (RFC 9110 §14.2).
    Raises RangeNotSatisfiable.
    """
    found = _ASKED.fullmatch(header.strip()) if header is not None else None
    if found is None or not (found[1] or found[2]):
        return None
    if found[1]:
        start = int(found[1])
        end = min(int(found[2]), size - 1) if found[2] else size - 1
    else:
        start = max(0, size - int(found[2]))
        end = size - 1
    if start > end:
        raise RangeNotSatisfiable(f"the range lies outside of the blob's {size} bytes", size=size)
    return Span(start, end)


def chunk(header: str | None) -> Span | None:
    """The span that a chunk's Content-Range announces. Raises BlobUploadInvalid, RangeNotSatisfiable."""
    if header is None:
        return None
    found = _CHUNK.fullmatch(header.strip())
    if found is None:
        raise BlobUploadInvalid("Content-Range must be <start>-<end>, both inclusive")
    start, end = int(found[1]), int(found[2])
    if start > end:
        raise RangeNotSatisfiable("Content-Range ends before it starts")
    return Span(start, end)
