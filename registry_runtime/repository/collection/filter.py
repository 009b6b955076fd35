"""Sets of texts in a fixed memory, however many there are."""

from __future__ import annotations

import hashlib
import os

_PLACES = 5
_WIDTH = 6  # bytes of a hash for each place


class Filter:
    """A Bloom filter: it never forgets a text, and seldom claims one that it was not told.

    Salted anew each time: garbage that one pass keeps for such a mistake goes with the next one. With 8 bits
    for each text one in fifty is mistaken, with 16 one in four hundred.
    """

    def __init__(self, size: int) -> None:
        """`size` in bytes; memory is taken as it is used."""
        self._bits = bytearray(size)
        self._salt = os.urandom(16)

    def add(self, text: str) -> None:
        bits = self._bits
        for place in self._places(text):
            bits[place >> 3] |= 1 << (place & 7)

    def __contains__(self, text: str) -> bool:
        bits = self._bits
        return all(bits[place >> 3] & 1 << (place & 7) for place in self._places(text))

    def _places(self, text: str) -> list[int]:
        digest = hashlib.blake2b(text.encode(), digest_size=_PLACES * _WIDTH, key=self._salt).digest()
        count = len(self._bits) * 8
        return [
            int.from_bytes(digest[start : start + _WIDTH]) % count
            for start in range(0, _PLACES * _WIDTH, _WIDTH)
        ]
