"""The registry itself: where clients begin."""

from __future__ import annotations

import pytest

from tests.api.client import Client


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_it_is_a_registry(client: Client, method: str, path: str) -> None:
    """200 for whoever may come in, with the version that old clients look for."""
    answer = client.send(method, path)
    assert answer.status == 200
    assert answer["Docker-Distribution-API-Version"] == "registry/2.0"
    assert answer.body == (b"{}" if method == "GET" else b"")
