"""One JSON object a line; never a secret, for nobody hands one in."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import traceback
from collections import deque
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any, TextIO

FIELDS = "fields"
_GATHER_SECONDS = 0.05


class JsonFormatter(logging.Formatter):
    """`ts` (RFC 3339, UTC), `level`, `logger`, `message`, and the fields of `extra={"fields": {…}}`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(line, default=str)


class Lines:
    """Writes lines together, twenty times a second: a system call for each costs as much as a request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waiting: deque[str] = deque()  # never replaced: threads may add while it is emptied

    def add(self, line: str) -> None:
        """The line is written soon where an event loop runs, else at once."""
        self._waiting.append(line)
        if len(self._waiting) == 1:
            loop = _running_loop()
            if loop is None:
                self.flush()
            else:
                loop.call_later(_GATHER_SECONDS, self.flush)

    def flush(self) -> None:
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if lines:
            self._stream.write("\n".join(lines) + "\n")
            self._stream.flush()


class GatheringHandler(logging.Handler):
    """Hands lines to `Lines`. A warning goes out at once, and with it all that was said before.

    So does what no event loop says.
    """

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.add(self.format(record))
        if record.levelno >= logging.WARNING or _running_loop() is None:
            self._lines.flush()

    def flush(self) -> None:
        with self.lock or nullcontext():
            self._lines.flush()


def configure(level: int = logging.INFO) -> Lines:
    """All loggers write to standard output; what libraries say below a warning stays unsaid.

    The lines are for who writes its own, of the same form.
    """
    lines = Lines(sys.stdout)
    handler = GatheringHandler(lines)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("registry_runtime").setLevel(level)
    # Each request has its own line, and its fault stands there.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    return lines


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def fields(**values: Any) -> dict[str, Any]:
    """For `extra=`: fields of the line beside its message."""
    return {FIELDS: values}
