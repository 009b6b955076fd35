"""One JSON object a line; never a secret, for nobody hands one in."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

FIELDS = "fields"


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


def configure(level: int = logging.INFO) -> None:
    """All loggers write to standard output; what libraries say below a warning stays unsaid."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("registry_runtime").setLevel(level)
    # Each request has its own line, and its fault stands there.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)


def fields(**values: Any) -> dict[str, Any]:
    """For `extra=`: fields of the line beside its message."""
    return {FIELDS: values}
