"""Ranges that clients ask for, and ranges that chunks claim."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_runtime.api import ranges
from registry_runtime.content.range import Span
from registry_runtime.errors import BlobUploadInvalid, RangeNotSatisfiable

texts = st.text("bytes=0123456789- ,/*x", max_size=30) | st.text(max_size=20)


@given(st.integers(0, 10**15), st.integers(0, 10**15), st.integers(1, 10**15))
def test_a_range_is_the_bytes_that_both_have(start: int, end: int, size: int) -> None:
    """The span is what lies in the range and in the content, as plain arithmetic finds it."""
    if start > end or start >= size:
        with pytest.raises(RangeNotSatisfiable):
            ranges.asked(f"bytes={start}-{end}", size)
    else:
        assert ranges.asked(f"bytes={start}-{end}", size) == Span(start, min(end, size - 1))


@given(st.integers(1, 10**15), st.integers(1, 10**15))
def test_a_suffix_is_the_end(length: int, size: int) -> None:
    """The last bytes, at most all of them."""
    assert ranges.asked(f"bytes=-{length}", size) == Span(max(0, size - length), size - 1)


@given(texts, st.integers(0, 100))
def test_any_text_is_read(text: str, size: int) -> None:
    """A span within the content, the whole, or 416; nothing else."""
    try:
        span = ranges.asked(text, size)
    except RangeNotSatisfiable:
        return
    assert span is None or span.end < size


@given(texts)
def test_any_chunk_is_read(text: str) -> None:
    """A span, or one of two errors."""
    try:
        span = ranges.chunk(text)
    except (BlobUploadInvalid, RangeNotSatisfiable):
        return
    assert span is not None
    assert span.length >= 1


def test_chunks() -> None:
    """The specification's form, and the one of older clients."""
    assert ranges.chunk(None) is None
    assert ranges.chunk("0-9") == ranges.chunk("bytes 0-9/*") == Span(0, 9)
