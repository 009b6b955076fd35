"""What is made of an API's answers."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Any

import pytest

from local_cluster.api import Api
from local_cluster.status import is_ready, ready_since

STARTED = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC).timestamp()


def node(status: str, heartbeat: str) -> dict[str, Any]:
    conditions = [
        {"type": "DiskPressure", "status": "False"},
        {"type": "Ready", "status": status, "lastHeartbeatTime": heartbeat},
    ]
    return {"status": {"conditions": conditions}}


@pytest.mark.parametrize(
    ("found", "ready"),
    [
        (node("True", "2026-01-01T12:00:01Z"), True),
        (node("True", "2026-01-01T12:00:00Z"), True),
        (node("True", "2026-01-01T11:59:58Z"), False),
        (node("False", "2026-01-01T12:00:01Z"), False),
        (node("Unknown", "2026-01-01T12:00:01Z"), False),
        ({}, False),
    ],
    ids=[
        "ready",
        "in the same second",
        "said by the former kubelet",
        "not ready",
        "unknown",
        "not registered",
    ],
)
def test_a_node_is_ready_by_the_word_of_its_present_kubelet(
    found: dict[str, Any], ready: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For seconds after a crash the API still says Ready."""
    monkeypatch.setattr(Api, "get", lambda _self, _path: found)
    api = Api("127.0.0.1", 1, ssl.create_default_context())

    assert ready_since(api, "one", STARTED + 0.7) is ready


def test_a_node_without_status_is_not_ready() -> None:
    """As in the moment after it has registered."""
    assert not is_ready({"status": {}})


def test_while_the_api_is_away_nothing_is_ready() -> None:
    """Nobody listens there; that is no error for who waits."""
    assert not ready_since(Api("127.0.0.1", 1, ssl.create_default_context()), "one", STARTED)
