"""Where traces may go, as the CRD's pattern says."""

from __future__ import annotations

import re

import pytest
from registry_operator.models.observability import OTLP


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("http://collector.tracing.svc:4318", True),
        ("https://otlp.example.com/prefix", True),
        ("http://[fd00::1]:4318/", True),
        ("grpc://collector:4317", False),
        ("http://user:password@collector:4318", False),
        ("https://otlp.example.com/?key=secret", False),
        ("http://collector:70000", False),
        ("http://", False),
        ("http://collector:4318/a\nb", False),
    ],
)
def test_an_endpoint_is_a_url_without_secrets(url: str, taken: bool) -> None:
    """It is written into a ConfigMap, which is no place for a password."""
    assert bool(re.fullmatch(OTLP, url)) is taken
