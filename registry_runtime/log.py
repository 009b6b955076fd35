"""One JSON object a line; never a secret, for nobody hands one in."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import traceback
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


class GatheringHandler(logging.Handler):
    """Writes lines together, twenty times a second: a system call for each costs as much as a request.

    A warning goes out at once, and with it all that was said before; so does what no event loop says.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))
        loop = _running_loop()
        if loop is None or record.levelno >= logging.WARNING:
            self.flush()
        elif len(self._lines) == 1:
            loop.call_later(_GATHER_SECONDS, self.flush)

    def flush(self) -> None:
        with self.lock or nullcontext():
            lines, self._lines = self._lines, []
            if lines:
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()


def configure(level: int = logging.INFO) -> None:
    """All loggers write to standard output; what libraries say below a warning stays unsaid."""
    handler = GatheringHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("registry_runtime").setLevel(level)
    # Each request has its own line, and its fault stands there.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def fields(**values: Any) -> dict[str, Any]:
    """For `extra=`: fields of the line beside its message."""
    return {FIELDS: values}
