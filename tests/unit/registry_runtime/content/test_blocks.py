"""Memory that is used again: never under a reader, and not for ever without."""

from __future__ import annotations

from registry_runtime.content.blocks import Blocks


def test_a_block_is_used_again_when_nobody_reads_it() -> None:
    """A view of a part of it is a reader too."""
    blocks = Blocks(1024, 8)
    block = blocks.take()
    kept, part = id(block.obj), block[:10]
    block.release()
    other = blocks.take()
    assert id(other.obj) != kept
    part.release()
    assert id(blocks.take().obj) == kept


def test_a_slow_reader_keeps_no_others_from_it() -> None:
    """Its block is passed over, and what waits stays within its bound."""
    blocks = Blocks(1024, 4)
    slow = blocks.take()
    many = [blocks.take() for _ in range(20)]
    assert len({id(block.obj) for block in many} | {id(slow.obj)}) == 21
    kept = {id(block.obj) for block in many[:3]}
    del many
    again = [blocks.take() for _ in range(8)]
    assert kept < {id(block.obj) for block in again}
    assert id(slow.obj) not in {id(block.obj) for block in again}


def test_the_block_that_was_used_last_comes_first() -> None:
    """What is near the processor is written to, and not what was forgotten long ago."""
    blocks = Blocks(1024, 4)
    many = [blocks.take() for _ in range(4)]
    kept = id(many[-1].obj)
    del many
    assert {id(blocks.take().obj) for _ in range(8)} == {kept}
    first = blocks.take()
    second = id(blocks.take().obj)
    assert second != kept
    del first
    assert id(blocks.take().obj) == second
