"""One JSON object a line; never a secret, for nobody hands one in."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

FIELDS = "fields"
AUDIT = {"audit": 1}  # the fields that make a line an audit record: docs/audit.md
_GATHER_SECONDS = 0.05
_MOST = 12_000  # lines that wait for a reader that is slower than we are: 8 MiB, as they usually are
_LAST_SECONDS = 5.0  # for what waits, at the end


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
    """Writes lines together, twenty times a second, in a thread of its own once that was started.

    So a reader that stands still stops nobody. What it does not take waits, up to `most` lines; of what
    comes then, each is counted as lost, and a line says how many they were. Lines keep their order.
    """

    def __init__(self, write: Callable[[memoryview], int], most: int = _MOST) -> None:
        """`write` takes bytes and says how many it took, as os.write does; it may block."""
        self._write = write
        self._most = most
        self._waiting: deque[str] = deque()  # appended to without the lock: that takes as long as all else
        self._writing: list[str] = []
        self._changed = threading.Condition()
        self._awake = False
        self._hurried = False
        self._writer: threading.Thread | None = None
        self._told = 0  # of `lost`
        self._torn = False  # whether what was written last ends in the middle of a line
        self.lost = 0  # lines

    @property
    def held(self) -> int:
        """Lines that were not written yet."""
        return len(self._waiting) + len(self._writing)

    def start(self) -> None:
        """From now on nobody waits for a write but the thread that does it."""
        self._writer = threading.Thread(target=self._run, name="log", daemon=True)
        self._writer.start()

    def add(self, line: str) -> None:
        """The line is written soon; without the thread, at once."""
        if len(self._waiting) < self._most:
            self._waiting.append(line)
        else:
            with self._changed:
                self.lost += 1
        if not self._awake:  # looked at behind the append: the writer sets it before it takes what there is
            self._wake()

    def hurry(self) -> None:
        """What waits is written now, and nobody waits for it."""
        with self._changed:
            self._awake = self._hurried = True
            self._changed.notify_all()

    def flush(self, seconds: float = _LAST_SECONDS) -> bool:
        """Whether all that was said before was written; waits for it so long."""
        if self._writer is None:
            return True
        self.hurry()
        with self._changed:
            return self._changed.wait_for(lambda: self.held == 0, seconds)

    def _wake(self) -> None:
        if self._writer is None:
            self._put()
            return
        with self._changed:
            self._awake = True
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._awake)
                self._changed.wait_for(lambda: self._hurried, _GATHER_SECONDS)
                self._awake = self._hurried = False
            self._put()

    def _put(self) -> None:
        with self._changed:
            self._writing = [self._waiting.popleft() for _ in range(len(self._waiting))]
            lost = self.lost
        gap = [_gap(lost - self._told)] if lost > self._told else []
        failed = self._written([*self._writing, *gap])
        with self._changed:
            if failed:
                self.lost += failed - len(gap)
            else:
                self._told = lost
            self._writing = []
            self._changed.notify_all()

    def _written(self, lines: list[str]) -> int:
        """How many lines, of the last ones, could not be written."""
        content = "\n".join((*lines, "")).encode()
        left = memoryview(content)
        try:
            if self._torn:
                self._write(memoryview(b"\n"))
                self._torn = False
            while left:
                left = left[self._write(left) :]
        except OSError:  # nobody reads it any more, or the disk is full: there is nowhere to say so
            done = content[: len(content) - len(left)]
            self._torn = self._torn or (done != b"" and not done.endswith(b"\n"))
            return bytes(left).count(b"\n")
        return 0


class GatheringHandler(logging.Handler):
    """Hands lines to `Lines`. A warning hurries, and with it all that was said before."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.add(self.format(record))
        if record.levelno >= logging.WARNING:
            self._lines.hurry()

    def flush(self) -> None:
        """At the end of the process, by logging itself."""
        self._lines.flush()


def configure(level: int = logging.INFO) -> Lines:
    """All loggers write to standard output; what libraries say below a warning stays unsaid.

    The lines are for who writes its own, of the same form.
    """
    out = sys.stdout.fileno()
    os.set_blocking(out, True)  # whatever shares it with us
    lines = Lines(partial(os.write, out))
    handler = GatheringHandler(lines)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("registry_runtime").setLevel(level)
    # Each request has its own line, and its fault stands there.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    lines.start()
    return lines


def fields(**values: Any) -> dict[str, Any]:
    """For `extra=`: fields of the line beside its message."""
    return {FIELDS: values}


def _gap(lost: int) -> str:
    told = logging.LogRecord(__name__, logging.ERROR, "", 0, "lines of the log were lost", None, None)
    told.__dict__.update(fields(**AUDIT, event="log.lost", lost=lost))
    return JsonFormatter().format(told)
