"""A resolved range of bytes: what the header of HTTP meant for content of a known size."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes from `start` to `end`, both inclusive (RFC 9110 §14.1.2); never empty."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"no span: {self.start}-{self.end}")

    @property
    def length(self) -> int:
        return self.end - self.start + 1
