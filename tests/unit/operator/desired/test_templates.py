"""Templates and values → objects."""

from __future__ import annotations

from pathlib import Path

import pytest
import registry_operator
from registry_operator.desired.templates import render
from registry_operator.errors import RenderFailed

TEMPLATES = Path(registry_operator.__file__).parent / "templates"


def test_a_missing_value_is_an_error() -> None:
    """Nothing is rendered as an empty string by mistake."""
    with pytest.raises(RenderFailed, match=r"template service-account: .*Undefined"):
        render("service-account")


def test_a_template_that_does_not_exist_is_an_error() -> None:
    """As any other fault of Roadstead itself."""
    with pytest.raises(RenderFailed, match="no-such"):
        render("no-such")


@pytest.mark.parametrize("file", sorted(TEMPLATES.glob("*.j2")), ids=lambda file: file.name)
def test_every_value_goes_through_tojson(file: Path) -> None:
    """What is put in is data, never structure."""
    for part in file.read_text().split("{{")[1:]:
        assert part.split("}}")[0].strip().endswith("| tojson"), part


def test_a_value_past_tojson_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment itself holds the rule, not only a reading of the files."""
    from jinja2 import DictLoader  # noqa: PLC0415 - only this test makes templates
    from registry_operator.desired.templates import _environment  # noqa: PLC0415

    monkeypatch.setattr(_environment(), "loader", DictLoader({"bad.yaml.j2": "metadata: {{ value }}"}))
    with pytest.raises(RenderFailed, match="tojson"):
        render("bad", value={"name": "x"})
