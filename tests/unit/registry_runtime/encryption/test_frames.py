"""Frames: what is written is read, whole or in part, and what was changed is not."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_runtime.content.range import Span
from registry_runtime.encryption.frames import FRAME, MORE, Clear, Form, Frames, form_of
from registry_runtime.errors import StorageRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry_runtime.content.buffer import Buffer

KEY = bytes(range(32))
UUID = "6b9f6f5e-9a34-4f0e-8a43-52a6a8e1f001"
SIZES = [0, 1, FRAME - 1, FRAME, FRAME + 1, 5 * FRAME + 17]


class Stored:
    """Chunks of bytes that lie in a storage, of any size."""

    def __init__(self, content: bytes, step: int = 100_000) -> None:
        self._pieces = iter([content[at : at + step] for at in range(0, len(content), step)])

    def __aiter__(self) -> Stored:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._pieces = iter(())


def content_of(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def joined(blocks: Sequence[Buffer]) -> bytes:
    return b"".join(blocks)


async def read(form: Form, stored: bytes, size: int, span: Span | None = None) -> bytes:
    if span is not None:
        covered = form.covering(span, size)
        stored = stored[covered.start : covered.end + 1]
    return joined([bytes(chunk) async for chunk in form.read(Stored(stored), span, size)])


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("size", SIZES)
async def test_what_is_written_is_read(key: bytes | None, size: int) -> None:
    """In one piece or in many, and its size in the storage tells that of the content."""
    form = form_of(UUID, key)
    content = content_of(size)
    cut = size // 2 // form.unit * form.unit
    stored = joined(form.write(0, [content[:cut]])) + joined(form.write(cut, [content[cut:]]))
    assert (form.stored(size), form.size(len(stored))) == (len(stored), size)
    assert form.stored(cut) == len(joined(form.write(0, [content[:cut]])))
    assert await read(form, stored, size) == content


@settings(max_examples=60)
@given(st.data())
async def test_any_span_is_read_from_what_covers_it(data: st.DataObject) -> None:
    """A range costs the frames that it touches, and no more."""
    size = data.draw(st.integers(1, 3 * FRAME + 5))
    start = data.draw(st.integers(0, size - 1))
    span = Span(start, data.draw(st.integers(start, size - 1)))
    frames = Frames(KEY, UUID)
    content = content_of(size)
    stored = joined(frames.write(0, [content]))
    assert await read(frames, stored, size, span) == content[span.start : span.end + 1]
    touched = span.end // FRAME - span.start // FRAME + 1
    assert frames.covering(span, size).length <= touched * (FRAME + MORE)


@pytest.mark.parametrize("harm", ["flip", "swap", "cut", "repeat", "other uuid", "other key", "short"])
async def test_what_was_changed_is_not_read(harm: str) -> None:
    """Frames cannot be changed, swapped, cut off, repeated, or moved to other data."""
    size = 3 * FRAME
    frames, whole = Frames(KEY, UUID), FRAME + MORE
    stored = joined(frames.write(0, [content_of(size)]))
    one, two, three = (stored[at * whole : (at + 1) * whole] for at in range(3))
    harmed = {
        "flip": one[:5000] + bytes([one[5000] ^ 1]) + one[5001:] + two + three,
        "swap": two + one + three,
        "cut": one + two,
        "repeat": one + one + three,
        "short": one + two + three[:-1],
    }.get(harm, stored)
    reader = {
        "other uuid": Frames(KEY, str(uuid.uuid4())),
        "other key": Frames(bytes(32), UUID),
    }.get(harm, frames)
    with pytest.raises(StorageRefused, match="is not what this registry wrote there"):
        await read(reader, harmed, size)


def test_no_nonce_is_used_twice() -> None:
    """The same content at the same place, as a request that is repeated writes it, is another ciphertext."""
    frames = Frames(KEY, UUID)
    attempts = {joined(frames.write(0, [b"the same"])) for _ in range(1000)}
    assert len({attempt[:12] for attempt in attempts}) == 1000
    assert len({attempt[12:] for attempt in attempts}) == 1000


def test_clear_content_is_handed_on_as_it_is() -> None:
    """No copy is made of what is not encrypted."""
    block = b"content"
    assert Clear().write(0, [block])[0] is block
