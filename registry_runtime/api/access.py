"""A line for every request, which is its audit record too: docs/audit.md says what each field means.

Put together by hand, in the form of `registry_runtime.log`: what the logging machinery costs is a fifth of
what a pull of a manifest may.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from starlette.types import Scope

from registry_runtime.api.trace import Trace
from registry_runtime.log import Lines

Headers = Iterable[tuple[bytes, bytes]]
REFUSED = frozenset({401, 403, 429})
_PATH = 512  # characters of a path that a record holds at most; of what else a client chose, fewer
_REFERENCE = 136  # as many as the longest digest has
_ERROR = 1024
_AGENT = 200
_AGENTS = 256  # that are remembered as they stand in a line
_EVENTS = {
    ("base", "GET"): "ping",
    ("base", "HEAD"): "ping",
    ("token", "GET"): "login",
    ("token", "POST"): "login",
    ("manifest", "GET"): "manifest.pull",
    ("manifest", "HEAD"): "manifest.look",
    ("manifest", "PUT"): "manifest.push",
    ("manifest", "DELETE"): "manifest.delete",
    ("blob", "GET"): "blob.pull",
    ("blob", "HEAD"): "blob.look",
    ("blob", "DELETE"): "blob.delete",
    ("upload", "POST"): "upload.begin",
    ("upload", "PATCH"): "upload.append",
    ("upload", "PUT"): "blob.push",
    ("upload", "GET"): "upload.look",
    ("upload", "DELETE"): "upload.cancel",
    ("tags", "GET"): "tags.list",
    ("referrers", "GET"): "referrers.list",
    ("catalog", "GET"): "catalog.list",
    ("why", "GET"): "why",
}


class AccessLog:
    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._millisecond = 0  # of Unix
        self._written = ""  # the same, as it stands in a line
        self._agents: dict[bytes, str] = {}

    @property
    def lost(self) -> int:
        """Lines, since the start."""
        return self._lines.lost

    @property
    def waiting(self) -> int:
        """Lines that nobody read yet."""
        return self._lines.held

    def write(self, scope: Scope, trace: Trace, status: int, seconds: float, headers: Headers = ()) -> None:
        """`seconds` is how long the request took, `headers` are the answer's."""
        client, method, place = scope.get("client"), scope["method"], scope.get("path_params")
        event = trace.event or _EVENTS.get((trace.noun, method), "request")
        decision = '"refused"' if status in REFUSED else '"allowed"' if trace.reason else "null"
        self._lines.add(
            f'{{"ts": "{self._time()}", "level": "info", "logger": "registry_runtime.access", '
            f'"message": "request", "audit": 1, "event": "{event}", "decision": {decision}, '
            f'{trace.judged or judged(trace)}, "client": {_text(client[0] if client else None)}, '
            f'"agent": {self._agent(scope["headers"])}, "reference": {_reference(place)}, '
            f'"digest": {_digest(headers)}, "request": "{trace.id}", '
            f'"method": {quoted(method)}, "path": {quoted(scope["path"][:_PATH])}, "status": {status}, '
            f'"bytes_in": {trace.bytes_in}, "bytes_out": {trace.bytes_out}, "ms": {seconds * 1000:.3f}'
            f"{_more(trace, headers) if trace.error or trace.more or method == 'PUT' else ''}}}"
        )

    def _agent(self, headers: Headers) -> str:
        """The User-Agent as it stands in a line."""
        for name, value in headers:
            if name == b"user-agent":
                return self._agents.get(value) or self._met(value)
        return "null"

    def _met(self, agent: bytes) -> str:
        text = quoted(agent[:_AGENT].decode("latin-1"))
        if len(self._agents) < _AGENTS and len(agent) <= _AGENT:
            self._agents[agent] = text
        return text

    def _time(self) -> str:
        now = int(time.time() * 1000)
        if now != self._millisecond:
            self._millisecond = now
            moment = datetime.fromtimestamp(now / 1000, UTC)
            self._written = moment.isoformat(timespec="milliseconds")
        return self._written


def judged(trace: Trace) -> str:
    """What is the same in every request that is let through again: `Passed` keeps it."""
    return (
        f'"reason": {_text(trace.reason)}, "who": {_text(trace.who)}, "account": {_text(trace.account)}, '
        f'"endpoint": "{trace.endpoint._value_}", "action": {_text(trace.action)}, '
        f'"repository": {_text(trace.repository)}'
    )


def _text(value: str | None) -> str:
    return "null" if value is None else quoted(value)


def _reference(place: Mapping[str, str] | None) -> str:
    """The tag, digest or session that the URL names."""
    if place is None:
        return "null"
    found = place.get("reference") or place.get("digest") or place.get("uuid")
    return "null" if found is None else quoted(found[:_REFERENCE])


def _digest(headers: Headers) -> str:
    """What was served or made, as the client was told."""
    for name, value in headers:
        if name == b"docker-content-digest":
            return f'"{value.decode()}"'
    return "null"


def _more(trace: Trace, headers: Headers) -> str:
    """Fields that few records have."""
    more: dict[str, Any] = dict(trace.more or ())
    if tags := [value.decode() for name, value in headers if name == b"oci-tag"]:
        more["tags"] = tags
    if trace.error:
        more["error"] = trace.error[:_ERROR]
    return "".join(f', "{name}": {json.dumps(value)}' for name, value in more.items())
