"""Bodies that are looked at before they are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from registry_runtime.content.buffer import Buffer


async def begun(body: AsyncIterator[Buffer], most: int) -> tuple[bytes | None, AsyncIterator[Buffer]]:
    """All of a body that has `most` bytes or fewer, None of any other; and the same body once more."""
    pieces: list[Buffer] = []
    size = 0
    try:
        while size <= most:
            piece = await anext(body, None)
            if piece is None:
                return b"".join(pieces), _again(pieces)
            pieces.append(piece)
            size += len(piece)
    except Exception as error:  # noqa: BLE001 - whoever takes the body hears of it, after what came
        return None, _again(pieces, cause=error)
    return None, _again(pieces, body)


async def _again(
    pieces: Sequence[Buffer], rest: AsyncIterator[Buffer] | None = None, cause: Exception | None = None
) -> AsyncIterator[Buffer]:
    for piece in pieces:
        yield piece
    if cause is not None:
        raise cause
    if rest is not None:
        async for piece in rest:
            yield piece
