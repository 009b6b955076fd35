"""Text for people: colours on a terminal only; and the same as JSON or YAML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import yaml

FORMATS = ("text", "json", "yaml")
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "bold": "1", "faint": "2"}


@dataclass(frozen=True)
class Printer:
    """`colour` where the output is a terminal and nobody asked for none."""

    out: TextIO
    colour: bool = False

    def line(self, text: str = "", colour: str = "", indent: int = 0) -> None:
        painted = f"\033[{_COLOURS[colour]}m{text}\033[0m" if self.colour and colour else text
        self.out.write(f"{' ' * indent}{painted}".rstrip() + "\n")

    def table(self, rows: Sequence[Sequence[str]], indent: int = 0) -> None:
        """Columns as wide as what stands in them; the first row is the head."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for number, row in enumerate(rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.line("   ".join(cells), "" if number else "faint", indent)

    def document(self, obj: Mapping[str, Any] | Sequence[Any], form: str) -> None:
        text = json.dumps(obj, indent=2) + "\n" if form == "json" else yaml.safe_dump(obj, sort_keys=False)
        self.out.write(text)

    def lines(self, lines: Iterable[str], indent: int = 0) -> None:
        for line in lines:
            self.line(line, indent=indent)


def diff_colour(line: str) -> str:
    """Of a line of a diff."""
    return {"+": "green", "-": "red", "~": "yellow", "@": "cyan"}.get(line[:1], "")
