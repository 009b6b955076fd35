"""Lines of the log."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from registry_runtime import log
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


class Written:
    """What was written, and in how many pieces."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, content: memoryview) -> int:
        self.pieces.append(bytes(content))
        return len(content)

    def lines(self) -> list[str]:
        return b"".join(self.pieces).decode().splitlines()


def handler() -> tuple[GatheringHandler, Lines, Written]:
    written = Written()
    lines = Lines(written.write)
    made = GatheringHandler(lines)
    made.setFormatter(logging.Formatter("%(message)s"))
    return made, lines, written


def say(made: GatheringHandler, text: str, level: int = logging.INFO) -> None:
    made.handle(logging.LogRecord("x", level, "x.py", 1, text, (), None))


def test_lines_are_written_together() -> None:
    """Many lines are few writes, in order; a flush returns when all are written."""
    made, lines, written = handler()
    lines.start()
    for number in range(1000):
        say(made, str(number))
    assert lines.flush()
    assert written.lines() == [str(number) for number in range(1000)]
    assert len(written.pieces) < 10
    say(made, "later")
    assert until(lambda: written.lines()[-1] == "later"), "without a flush, too"


def test_a_warning_hurries(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all that was said before it, however long lines are gathered, and nobody has to ask."""
    monkeypatch.setattr(log, "_GATHER_SECONDS", 3600)
    made, lines, written = handler()
    lines.start()
    say(made, "before")
    say(made, "warned", logging.WARNING)
    assert until(lambda: written.lines() == ["before", "warned"])


def test_before_the_start_a_line_is_written_at_once() -> None:
    """There is nobody yet to write it later."""
    made, _, written = handler()
    say(made, "now")
    assert written.lines() == ["now"]


def test_lines_of_many_threads_stay_whole() -> None:
    """None is lost, none is cut, and each thread's are in its order."""
    made, lines, written = handler()
    lines.start()

    def talk(number: int) -> None:
        for count in range(500):
            say(made, f"{number} {count}")

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lines.flush()
    for number in range(4):
        own = [text for text in written.lines() if text.startswith(f"{number} ")]
        assert own == [f"{number} {count}" for count in range(500)]


def test_a_reader_that_stands_still_stops_nobody() -> None:
    """What a full pipe does not take waits, within bounds; the rest is counted, and said when it goes on."""
    reader, writer = os.pipe()
    lines = Lines(partial(os.write, writer), most=2000)
    lines.start()
    text = "x" * 99
    for _ in range(5000):
        lines.add(text)
    assert not lines.flush(0.01), "nobody reads"
    assert lines.held <= 4000
    assert lines.lost >= 1000
    lost = lines.lost
    with os.fdopen(reader, "rb") as pipe:
        kept = [pipe.readline() for _ in range(5000 - lost)]
        assert kept == [text.encode() + b"\n"] * (5000 - lost)
        lines.add("again")
        assert lines.flush()
        os.close(writer)
        *_, gap = [json.loads(one) for one in pipe.read().splitlines() if one.startswith(b"{")]
    assert (gap["event"], gap["lost"], gap["audit"]) == ("log.lost", lost, 1)
    assert lines.lost == lost


def test_a_reader_that_has_gone_costs_lines_and_nothing_else() -> None:
    """They are counted; when somebody reads again, the gap is said in a line of its own."""
    kept = bytearray()
    broken = [True]

    def write(content: memoryview) -> int:
        if broken[0] and kept:
            raise BrokenPipeError
        taken = content[:7] if broken[0] else content
        kept.extend(taken)
        return len(taken)

    lines = Lines(write)
    lines.add("the first line, which is torn")
    lines.add("the second")
    broken[0] = False
    lines.add("the third")
    torn, third, gap = kept.decode().splitlines()
    assert (torn, third) == ("the fir", "the third")
    assert (json.loads(gap)["lost"], lines.lost) == (2, 2)


def until(true: Callable[[], object]) -> bool:
    """Whether it becomes true within ten seconds."""
    end = time.monotonic() + 10
    while not true() and time.monotonic() < end:
        time.sleep(0.005)
    return bool(true())
