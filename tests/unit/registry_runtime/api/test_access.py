"""The line of a request, which is put together by hand: an audit record."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_runtime.api.access import AccessLog
from registry_runtime.api.trace import Trace
from registry_runtime.auth.identity import Endpoint
from registry_runtime.contract.policy import Action
from registry_runtime.log import Lines

DIGEST = f"sha256:{'0' * 64}"


def line(trace: Trace, status: int = 200, *answered: tuple[bytes, bytes], **scope: Any) -> dict[str, object]:
    """The record of a request, which is one line whatever stands in it."""
    written = io.BytesIO()
    asked = {"method": "GET", "path": "/v2/", "client": ("127.0.0.1", 4711), "headers": [], **scope}
    AccessLog(Lines(written.write)).write(asked, trace, status, 0.0015, answered)
    assert written.getvalue().count(b"\n") == 1
    assert len(written.getvalue()) < 16 * 1024
    read: dict[str, object] = json.loads(written.getvalue())
    return read


def test_it_is_of_the_form_of_all_lines() -> None:
    """One object, its time in UTC, and what is not known is null."""
    read = line(Trace(Endpoint.PRIVATE, bytes_out=7))
    now = datetime.now(UTC)
    assert abs((now - datetime.fromisoformat(str(read.pop("ts")))).total_seconds()) < 60
    assert len(str(read.pop("request"))) == 16
    assert read == {
        "level": "info", "logger": "registry_runtime.access", "message": "request", "audit": 1,
        "event": "request", "decision": None, "reason": None, "who": None, "account": None,
        "client": "127.0.0.1", "agent": None, "endpoint": "private", "action": None, "repository": None,
        "reference": None, "digest": None, "method": "GET", "path": "/v2/", "status": 200, "bytes_in": 0,
        "bytes_out": 7, "ms": 1.5,
    }  # fmt: skip


def test_a_push_says_all_that_was_set() -> None:
    """Its digest and its tags are those that the client was told."""
    trace = Trace(
        Endpoint.PUBLIC, noun="manifest", who="id", account="shop", action=Action.PUSH, repository="team/app"
    )
    trace.reason = "Granted"
    told = [(b"docker-content-digest", DIGEST.encode()), (b"oci-tag", b"v1"), (b"oci-tag", b"latest")]
    asked = {"method": "PUT", "path_params": {"reference": DIGEST}, "headers": [(b"user-agent", b"crane/1")]}
    read = line(trace, 201, *told, **asked)
    assert (read["event"], read["decision"], read["reason"]) == ("manifest.push", "allowed", "Granted")
    assert (read["who"], read["account"], read["agent"]) == ("id", "shop", "crane/1")
    assert (read["action"], read["repository"], read["reference"]) == ("push", "team/app", DIGEST)
    assert (read["digest"], read["tags"]) == (DIGEST, ["v1", "latest"])


@pytest.mark.parametrize(
    ("status", "reason", "decision"),
    [
        (200, "Granted", "allowed"),
        (404, "Granted", "allowed"),
        (503, "Granted", "allowed"),
        (401, "TokenUnknown", "refused"),
        (403, "NotGranted", "refused"),
        (429, "TooManyFailedLogins", "refused"),
        (400, None, None),
    ],
)
def test_the_decision_is_one_word(status: int, reason: str | None, decision: str | None) -> None:
    """Whoever was let in and met something else was let in; what was not judged has no decision."""
    read = line(Trace(Endpoint.PUBLIC, reason=reason), status)
    assert (read["decision"], read["reason"]) == (decision, reason)


@pytest.mark.parametrize("odd", ['"', "\\", "\n", "\x00", "\u2028", "ü", "\ud800"])
def test_what_a_client_chose_stays_in_its_field(odd: str) -> None:
    """Neither a quote nor a line break ends it."""
    trace = Trace(Endpoint.PUBLIC, error=f"NAME_INVALID: {odd}")
    read = line(trace, path=f"/v2/{odd}/")
    assert read["path"] == f"/v2/{odd}/"
    assert read["error"] == trace.error


words = st.text(max_size=300) | st.text(st.sampled_from('"\\\n\r\x00\u2028\ud800\udfff{}'), max_size=300)


@given(words, words, words, st.binary(max_size=300), st.sampled_from([1, 64 * 1024]))
def test_no_field_breaks_the_line(path: str, reference: str, error: str, agent: bytes, most: int) -> None:
    """Whatever a client sends, be it 64 KiB of it: one bounded line, each field as it was or cut."""
    path, reference, agent = (path * most)[:65536], (reference * most)[:65536], (agent * most)[:65536]
    trace = Trace(Endpoint.PUBLIC, error=error, who=error)
    trace.note("claimed", error)
    read = line(trace, path=path, path_params={"reference": reference}, headers=[(b"user-agent", agent)])
    assert read["path"] == as_json(path[:512])
    assert (read["reference"] or "") == as_json(reference[:136])
    assert read["agent"] == agent[:200].decode("latin-1")
    assert (read["who"], read["claimed"], read.get("error", "")) == (as_json(error),) * 3


def as_json(text: str) -> object:
    """Two halves of a surrogate pair side by side are one character to whoever reads JSON."""
    return json.loads(json.dumps(text))


def test_only_short_agents_are_remembered() -> None:
    """Anybody may say 60 KiB: 256 of these would stay for ever, and no honest one be remembered."""
    log = AccessLog(Lines(io.BytesIO().write))
    for length in (60_000, 20):
        agents = [(b"user-agent", b"%d-" % number + b"x" * length) for number in range(300)]
        for agent in agents:
            log.write(
                {"method": "GET", "path": "/v2/", "client": None, "headers": [agent]},
                Trace(Endpoint.PUBLIC),
                200,
                0.0,
            )
    assert len(log._agents) == 256
    assert max(map(len, log._agents)) < 30
