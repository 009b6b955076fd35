"""Tables of the documentation, for tests that hold it to what is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def rows(document: Path, heading: str) -> list[tuple[str, ...]]:
    """The cells of the first table below this heading, without its head."""
    _, _, below = document.read_text().partition(f"\n{heading}\n")
    lines = below.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("|"))
    found = []
    for line in lines[begin:]:
        if not line.startswith("|"):
            break
        found.append(tuple(cell.strip() for cell in line.strip("|").split("|")))
    return found[2:]


def quoted(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall("`([^`]+)`", cell)
