"""What is read from an object's status."""

from __future__ import annotations

from typing import Any

import pytest

from quickstart.kubectl import is_ready, sentences


def registry(generation: int, observed: int, status: str) -> dict[str, Any]:
    condition = {"type": "Ready", "status": status, "reason": "Because", "message": "so"}
    return {
        "metadata": {"generation": generation},
        "status": {"observedGeneration": observed, "conditions": [condition]},
    }


@pytest.mark.parametrize(
    ("found", "ready"),
    [
        (registry(2, 2, "True"), True),
        (registry(2, 1, "True"), False),
        (registry(2, 2, "False"), False),
        ({"metadata": {"generation": 1}}, False),
        (None, False),
    ],
)
def test_ready_speaks_of_this_generation(found: dict[str, Any] | None, ready: bool) -> None:
    """Ready=True of an older generation is not ready."""
    assert is_ready(found) is ready


def test_the_conditions_are_told_as_sentences() -> None:
    """What a timeout prints."""
    assert "Ready=False Because: so" in sentences(registry(1, 1, "False"))
    assert sentences(None) == "It does not exist."
