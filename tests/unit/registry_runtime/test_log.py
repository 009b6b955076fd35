"""Lines of the log."""

from __future__ import annotations

import json
import logging
import sys

from registry_runtime.log import JsonFormatter, fields


def line(record: logging.LogRecord) -> dict[str, object]:
    text = JsonFormatter().format(record)
    assert "\n" not in text
    read: dict[str, object] = json.loads(text)
    return read


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("some.logger", logging.WARNING, "x.py", 1, message, (), None)
    made.__dict__.update(extra)
    return made


def test_one_object_a_line() -> None:
    """Whatever is in it: line breaks, quotes, things that are no JSON."""
    read = line(record('a\n"b"', **fields(path="/v2/\n", odd={1, 2}.__class__)))
    assert read["message"] == 'a\n"b"'
    assert read["path"] == "/v2/\n"
    assert read["level"] == "warning"
    assert str(read["ts"]).endswith("+00:00")


def test_an_error_has_its_traceback() -> None:
    """In one field, of one line."""
    try:
        int("broken")
    except ValueError:
        made = record("failed", exc_info=sys.exc_info())
    assert "ValueError: invalid literal" in str(line(made)["error"])
