"""A copy of collections, and a client, before an API server that can be broken."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from local_cluster import mirror, pki
from local_cluster.api import Api
from local_cluster.errors import ApiRefused
from local_cluster.layout import Layout
from local_cluster.mirror import Mirror

PODS = "/api/v1/pods"


def pod(uid: str, phase: str = "Running") -> dict[str, Any]:
    return {"metadata": {"uid": uid, "name": uid}, "status": {"phase": phase}}


class AllWatchedError(Exception):
    """Ends what goes on for ever."""


class Script:
    """What the server answers: to lists in turn, and to the watch after each."""

    def __init__(self, *turns: tuple[list[Any], list[Any]]) -> None:
        self.turns = list(turns)
        self.asked: list[str] = []


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Script, Api]]:
    """A server with the certificate of an API server, that asks for a client's; and a client."""
    layout = Layout("one", root=tmp_path)
    pki.ensure(layout)
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            script.asked.append(self.path)
            query = parse_qs(url.query)
            if url.path == "/refuse":
                self.answer(403, [{"message": "pods is forbidden"}])
            elif "watch" in query:
                self.answer(200, script.turns.pop(0)[1] if script.turns else [])
            else:
                items = script.turns[0][0] if script.turns else []
                self.answer(200, [{"metadata": {"resourceVersion": "7"}, "items": items}])

        def answer(self, status: int, lines: list[Any]) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write("".join(json.dumps(line) + "\n" for line in lines).encode())

        def log_message(self, *words: Any) -> None:
            """A test's output is the test's."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(layout.pki / "apiserver.crt", layout.pki / "apiserver.key")
    tls.load_verify_locations(layout.pki / "ca.crt")
    tls.verify_mode = ssl.CERT_REQUIRED
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    serving = threading.Thread(target=server.serve_forever, args=(0.01,))
    serving.start()
    yield script, Api.for_certificate(("127.0.0.1", server.server_address[1]), layout.pki, "enforcer")
    server.shutdown()
    serving.join()
    server.server_close()


def test_a_refusal_is_told_with_the_servers_words(served: tuple[Script, Api]) -> None:
    """And its status."""
    _script, api = served

    with pytest.raises(ApiRefused, match="403: pods is forbidden"):
        api.get("/refuse")


def test_events_change_the_copy(served: tuple[Script, Api]) -> None:
    """Added, modified and deleted, from the version on that was listed; unknown ones are no loss."""
    script, api = served
    copy = Mirror(lambda: api, (PODS,))
    script.turns.append(([pod("a"), pod("b")], []))

    assert not copy.complete
    version = copy.list(api, PODS)
    for kind, thing in (("ADDED", pod("c")), ("MODIFIED", pod("a", "Failed")), ("DELETED", pod("b"))):
        copy.take(PODS, {"type": kind, "object": thing})

    assert copy.complete
    assert version == "7"
    assert copy.all(PODS) == (pod("c"), pod("a", "Failed")) or copy.all(PODS) == (
        pod("a", "Failed"),
        pod("c"),
    )


def test_a_watch_that_ends_in_an_error_is_begun_anew(
    served: tuple[Script, Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a compaction (410): with a new list, so that what was missed is there."""
    monkeypatch.setattr(mirror, "AGAIN_SECONDS", 0.01)
    script, api = served
    gone = {"type": "ERROR", "object": {"code": 410, "message": "too old"}}
    script.turns += [([pod("a")], [gone]), ([pod("b")], [{"type": "ADDED", "object": pod("c")}])]

    def connect() -> Api:
        if not script.turns:
            raise AllWatchedError
        return api

    copy = Mirror(connect, (PODS,))
    with pytest.raises(AllWatchedError):
        copy.follow(PODS)

    assert {each["metadata"]["uid"] for each in copy.all(PODS)} == {"b", "c"}
    assert "resourceVersion=7" in script.asked[1]
