"""Chunked bodies: whatever the reads cut, the content is the content, and what is no such body is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_runtime.chunks import Chunks, ChunksInvalid

BEHIND = b"GET / HTTP/1.1\r\n\r\n"


def encoded(pieces: list[bytes], extension: bytes = b"", trailers: bytes = b"") -> bytes:
    chunks = [b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces if piece]
    return b"".join([*chunks, b"0\r\n", trailers, b"\r\n"])


def taken(text: bytes, cuts: list[int]) -> tuple[bytes, bytes, bool]:
    """Content, what is behind the body, and whether it is done; received in reads that end at the cuts."""
    chunks = Chunks()
    block = memoryview(bytearray(len(text)))
    end = 0
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    for first, last in pairwise(places):
        block[end : end + last - first] = text[first:last]
        end, behind = chunks.take(block, end, came := end + last - first)
        if chunks.done:
            return bytes(block[:end]), bytes(block[behind:came]) + text[last:], True
    return bytes(block[:end]), b"", False


@given(
    st.lists(st.binary(max_size=40), max_size=6),
    st.sampled_from([b"", b";x=y", b' ; name="value"']),
    st.sampled_from([b"", b"Digest: x\r\n", b"A: b\r\nC: d\r\n"]),
    st.lists(st.integers(min_value=0), max_size=8),
)
def test_content_comes_out_whatever_the_reads_cut(
    pieces: list[bytes], extension: bytes, trailers: bytes, cuts: list[int]
) -> None:
    """Sizes, extensions and trailers are gone; the next request is behind, to the byte."""
    text = encoded(pieces, extension, trailers)

    assert taken(text + BEHIND, cuts) == (b"".join(pieces), BEHIND, True)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=3), st.integers(min_value=0))
def test_a_body_that_breaks_off_is_never_done(pieces: list[bytes], cut: int) -> None:
    """Whatever is missing of it, be it one byte."""
    text = encoded(pieces)

    content, _, done = taken(text[: cut % len(text)], [])

    assert not done
    assert b"".join(pieces).startswith(content)


@pytest.mark.parametrize(
    "text",
    [
        b"\r\n",
        b"zz\r\n",
        b"-1\r\n",
        b"+1\r\na\r\n",
        b"0x1\r\na\r\n",
        b"1_0\r\n",
        b" 1\r\na\r\n",
        b"1\na\r\n",
        b"1\r\nab\r\n",
        b"1\r\na\n",
        b"1\r\na0\r\n\r\n",
        b"0\r\n\n",
        b"1" * 16 + b"\r\n",
        b";" * 5000,
        b"a" * 5000,
        b"0\r\n" + b"Trailer: x\r\n" * 2000,
    ],
)
def test_what_is_no_chunked_body_is_refused(text: bytes) -> None:
    """Two readers that disagree about its end would take one's body for the other's request."""
    with pytest.raises(ChunksInvalid):
        taken(text, [])
