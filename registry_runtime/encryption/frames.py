"""Frames: how the bytes of a blob lie in its data, in clear or encrypted.

Encrypted, the content is cut into frames of 256 KiB, the last one shorter, each by itself
`nonce (12 bytes) | ciphertext | tag (16 bytes)` under the data key, which the pointer holds. The additional
data is the data's uuid (16 bytes) and the number of the frame (8 bytes, big-endian, from 0): a frame does
not open anywhere else. How many there are the pointer's size tells, so none can be cut off.
Nonces are random: a request that was repeated, or races another, never uses one twice.
A blob of 1 TiB has 2^22 frames; the chance that two of 96 bits are the same is 2^-53.
"""

from __future__ import annotations

import os
import uuid as uuids
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from registry_runtime.content.blocks import Blocks
from registry_runtime.content.range import Span
from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry_runtime.content.buffer import Buffer, Chunks

FRAME = 256 * 1024
NONCE = 12
TAG = 16
MORE = NONCE + TAG
KEY = 32
_TOGETHER = 2  # frames that are handed on at once: what fits a core's own cache, and malloc's without a fault


class Form(Protocol):
    """How content lies in one data object. Sizes and offsets are in bytes of content if not said else."""

    unit: int  # content is written in multiples of it, but for its end

    def stored(self, size: int) -> int:
        """How many bytes the first `size` take in the storage; a multiple of the unit, or all there is."""
        ...

    def size(self, stored: int) -> int:
        """How much content so many bytes of the storage hold."""
        ...

    def write(self, offset: int, blocks: Sequence[Buffer]) -> Sequence[Buffer]:
        """The bytes to store for content that begins at `offset`, a multiple of the unit."""
        ...

    def covering(self, span: Span, size: int) -> Span:
        """The bytes of the storage in which this span of the content lies."""
        ...

    def read(self, chunks: Chunks, span: Span | None, size: int, blocks: Blocks | None = None) -> Chunks:
        """The span of the content (None: all `size` bytes), from chunks of what covers it.

        `blocks` is memory of `opened_blocks`, which many streams share.
        """
        ...


def opened_blocks(most: int = 16) -> Blocks:
    """Memory for what is decrypted, for the streams of a registry."""
    return Blocks(_TOGETHER * FRAME, most)


class Clear:
    """Content as it is."""

    unit = 1

    def stored(self, size: int) -> int:
        return size

    def size(self, stored: int) -> int:
        return stored

    def write(self, offset: int, blocks: Sequence[Buffer]) -> Sequence[Buffer]:  # noqa: ARG002
        return blocks

    def covering(self, span: Span, size: int) -> Span:  # noqa: ARG002
        return span

    def read(
        self,
        chunks: Chunks,
        span: Span | None,  # noqa: ARG002
        size: int,  # noqa: ARG002
        blocks: Blocks | None = None,  # noqa: ARG002
    ) -> Chunks:
        return chunks


class Frames:
    """Content in encrypted frames, of the data with this uuid."""

    unit = FRAME

    def __init__(self, key: bytes, uuid: str) -> None:
        self._cipher = AESGCM(key)
        self._uuid = uuids.UUID(uuid)

    def stored(self, size: int) -> int:
        return size + MORE * -(-size // FRAME)

    def size(self, stored: int) -> int:
        return stored - MORE * -(-stored // (FRAME + MORE))

    def write(self, offset: int, blocks: Sequence[Buffer]) -> Sequence[Buffer]:
        number = offset // FRAME
        waiting = _Waiting(blocks)
        sealed = []
        while waiting.size:
            sealed.append(self._seal(number, waiting.take(min(FRAME, waiting.size))))
            number += 1
        return sealed

    def covering(self, span: Span, size: int) -> Span:
        first, last = span.start // FRAME, span.end // FRAME
        return Span(first * (FRAME + MORE), self.stored(min((last + 1) * FRAME, size)) - 1)

    def read(self, chunks: Chunks, span: Span | None, size: int, blocks: Blocks | None = None) -> Chunks:
        blocks = blocks or opened_blocks(0)
        wanted = range(span.start, span.end + 1) if span else range(size)
        return _Opened(self, chunks, wanted, size, blocks)

    def open(self, number: int, sealed: Buffer, out: memoryview) -> None:
        """Decrypts one frame into memory of its size. Raises StorageRefused."""
        frame = memoryview(sealed)
        try:
            self._cipher.decrypt_into(frame[:NONCE], frame[NONCE:], self._place(number), out)
        except InvalidTag:
            raise self.damaged() from None

    def damaged(self) -> StorageRefused:
        return StorageRefused(
            f"data/{self._uuid} is not what this registry wrote there: it was changed in the storage; "
            "restore it from a version or a backup of the bucket",
            StorageReason.DAMAGED,
        )

    def _seal(self, number: int, content: Buffer) -> Buffer:
        sealed = bytearray(len(content) + MORE)
        sealed[:NONCE] = nonce = os.urandom(NONCE)
        self._cipher.encrypt_into(nonce, content, self._place(number), memoryview(sealed)[NONCE:])
        return sealed

    def _place(self, number: int) -> bytes:
        return self._uuid.bytes + number.to_bytes(8, "big")


class _Opened:
    """The wanted bytes of the content, as its frames arrive."""

    def __init__(self, frames: Frames, chunks: Chunks, wanted: range, size: int, blocks: Blocks) -> None:
        self._frames = frames
        self._blocks = blocks
        self._chunks = chunks
        self._waiting = _Waiting()
        self._position, self._end, self._size = wanted.start, wanted.stop, size

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Buffer:
        if self._position >= self._end:
            with suppress(StopAsyncIteration):  # a cache that fills on the way is told that this was all
                await anext(self._chunks)
            await self._chunks.aclose()
            raise StopAsyncIteration
        first = self._position // FRAME
        numbers = range(first, min(first + _TOGETHER, -(-self._end // FRAME)))
        start = first * FRAME
        content = self._blocks.take()[: min(numbers.stop * FRAME, self._size) - start]
        for number in numbers:
            frame = content[number * FRAME - start :][:FRAME]
            self._frames.open(number, await self._next(len(frame) + MORE), frame)
        skipped, self._position = self._position - start, min(numbers.stop * FRAME, self._end)
        return content[skipped : self._position - start]

    async def _next(self, length: int) -> Buffer:
        while self._waiting.size < length:
            try:
                self._waiting.add(await anext(self._chunks))
            except StopAsyncIteration:
                raise self._frames.damaged() from None
        return self._waiting.take(length)

    async def aclose(self) -> None:
        await self._chunks.aclose()


class _Waiting:
    """Buffers in a row, from which pieces of any length are taken, without a copy where one holds it all."""

    def __init__(self, blocks: Sequence[Buffer] = ()) -> None:
        self._blocks: deque[memoryview] = deque()
        self.size = 0
        for block in blocks:
            self.add(block)

    def add(self, block: Buffer) -> None:
        if len(block):
            self._blocks.append(memoryview(block))
            self.size += len(block)

    def take(self, length: int) -> Buffer:
        self.size -= length
        pieces: list[Buffer] = []
        while length:
            block = self._blocks.popleft()
            if len(block) > length:
                self._blocks.appendleft(block[length:])
                block = block[:length]
            pieces.append(block)
            length -= len(block)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def form_of(uuid: str, key: bytes | None) -> Form:
    """Encrypted where there is a data key."""
    return Clear() if key is None else Frames(key, uuid)
