"""What docs/conditions.md says: the reasons that it explains."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).parents[3] / "docs" / "conditions.md"


def reasons() -> frozenset[str]:
    """Every word in backticks that is a reason's by its form."""
    return frozenset(re.findall(r"`([A-Z][A-Za-z]+)`", DOCUMENT.read_text()))
