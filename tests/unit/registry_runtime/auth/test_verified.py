"""What is remembered of bearers is bounded by its memory, whatever clients send."""

from __future__ import annotations

import tracemalloc

import pytest

from registry_runtime.auth.scope import Scopes
from registry_runtime.auth.tokens import Bearers, Claims
from registry_runtime.auth.verified import Verified
from registry_runtime.contract.policy import Action

MOST = 2 * 1024 * 1024


def bearers(scopes: int, length: int = 20) -> tuple[Bearers, Claims]:
    names = {f"{number:0{length}}": frozenset(Action) for number in range(scopes)}
    return Bearers.generate("ns/reg"), Claims("0" * 16, 1000, 1300, Scopes(names))


@pytest.mark.parametrize(("scopes", "length"), [(0, 1), (1, 20), (30, 1), (9, 200)])
def test_memory_is_bounded(scopes: int, length: int) -> None:
    """Twice as many as fit, of each shape that a client may ask for: what they take is what was said."""
    signer, claims = bearers(scopes, length)
    text = signer.sign(claims)
    assert len(text) <= 4096
    kept = Verified(MOST)
    tracemalloc.start()
    try:
        for number in range(2 * MOST // len(text)):
            other = f"{text[:-8]}{number:08}"
            kept.keep(other, signer.verify(text))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert MOST / 8 < held < MOST
    assert kept.find(other)


def test_a_long_bearer_is_not_kept() -> None:
    """It would take the room of many short ones."""
    signer, claims = bearers(30, 200)
    text = signer.sign(claims)
    assert len(text) > 4096
    kept = Verified()
    kept.keep(text, claims)
    assert kept.find(text) is None


def test_the_oldest_go_first() -> None:
    """And one that is there already is not counted twice."""
    _, claims = bearers(1)
    kept = Verified(most=5000)
    for text in ("a", "a", "a", "b", "c"):
        kept.keep(text, claims)
    assert kept.find("a")
    kept.keep("d", claims)
    assert not kept.find("a")
    assert kept.find("b")
