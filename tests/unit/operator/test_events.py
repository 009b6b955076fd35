"""Which changes of conditions are news."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from registry_operator.events import ACTIONS, SILENT, notes
from registry_operator.models import Condition

DOCUMENT = Path(__file__).parents[3] / "docs" / "conditions.md"
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def condition(kind: str, status: str, reason: str = "Because") -> Condition:
    found = {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "so it is",
        "lastTransitionTime": NOW,
    }
    return TypeAdapter(Condition).validate_python(found)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (None, ("Ready", "True"), "Normal"),
        (("Ready", "False"), ("Ready", "True"), "Normal"),
        (("Ready", "True"), ("Ready", "False"), "Warning"),
        (("Stalled", "False"), ("Stalled", "True"), "Warning"),
        (("Stalled", "True"), ("Stalled", "False"), "Normal"),
        (None, ("Ready", "False"), None),  # it is only beginning
        (None, ("Stalled", "False"), None),
        (("Ready", "Unknown"), ("Ready", "False"), None),
        (("Ready", "True"), ("Ready", "True"), None),
        (("Ready", "True"), ("Ready", "Unknown"), None),
        (("Reconciling", "False"), ("Reconciling", "True"), None),
    ],
)
def test_what_came_true_or_holds_no_longer_is_news(
    before: tuple[str, str] | None, after: tuple[str, str], said: str | None
) -> None:
    """A beginning is none, a repetition is none, and what is not known is none."""
    found = notes([condition(*before)] if before else [], [condition(*after)])
    assert [note.type for note in found] == ([said] if said else [])


def test_another_reason_for_being_stalled_is_news() -> None:
    """The first Secret was made, the second is still missing: the user looks at Events again."""
    before = [condition("Stalled", "True", "SecretNotFound")]
    (note,) = notes(before, [condition("Stalled", "True", "NameConflict")])
    assert (note.type, note.reason) == ("Warning", "NameConflict")


def test_every_condition_has_a_verb_or_is_silent() -> None:
    """An Event says what was done or failed; whoever adds a condition says that, too."""
    tables = re.findall(r"\| Condition \| True means \|\n\|---\|---\|\n((?:\|.*\n)+)", DOCUMENT.read_text())
    kinds = {row.split("|")[1].strip() for table in tables for row in table.splitlines()}
    assert len(kinds) > 10
    assert kinds | {"Reconciling", "Stalled"} == ACTIONS.keys() | SILENT
