"""Lines of the log."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys

from registry_runtime.log import GatheringHandler, JsonFormatter, Lines, fields


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


class Written(io.StringIO):
    """What was written, and in how many pieces."""

    pieces = 0

    def write(self, text: str) -> int:
        self.pieces += 1
        return super().write(text)


def handler() -> tuple[GatheringHandler, Written]:
    written = Written()
    made = GatheringHandler(Lines(written))
    made.setFormatter(logging.Formatter("%(message)s"))
    return made, written


async def test_lines_are_written_together() -> None:
    """Many lines are one write, in order, within a twentieth of a second."""
    made, written = handler()
    for number in range(100):
        made.handle(logging.LogRecord("x", logging.INFO, "x.py", 1, str(number), (), None))
    assert written.getvalue() == ""
    await asyncio.sleep(0.1)
    assert written.getvalue().split() == [str(number) for number in range(100)]
    assert written.pieces == 1
    made.handle(logging.LogRecord("x", logging.INFO, "x.py", 1, "later", (), None))
    await asyncio.sleep(0.1)
    assert written.getvalue().endswith("\nlater\n")


async def test_a_warning_is_written_at_once() -> None:
    """With all that was said before it."""
    made, written = handler()
    made.handle(logging.LogRecord("x", logging.INFO, "x.py", 1, "before", (), None))
    made.handle(record("warned"))
    assert written.getvalue() == "before\nwarned\n"


def test_without_a_loop_a_line_is_written_at_once() -> None:
    """At the start, at the end, and from threads there is nobody to write it later."""
    made, written = handler()
    made.handle(logging.LogRecord("x", logging.INFO, "x.py", 1, "now", (), None))
    assert written.getvalue() == "now\n"
