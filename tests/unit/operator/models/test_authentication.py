"""Who may vouch, as a Registry names them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from registry_operator.models.authentication import OidcProvider


@pytest.mark.parametrize(
    "issuer",
    [
        "https://accounts.google.com",
        "https://gitlab.example:8443/",
        "https://10.0.0.7:65535/realms/shop",
        "https://login.example/tenant/v2.0",
    ],
)
def test_an_issuer(issuer: str) -> None:
    """A URL as providers have it, with a port and a path, and kept to the letter."""
    assert OidcProvider(name="a", issuer=issuer, audience="b").issuer == issuer


@pytest.mark.parametrize(
    "issuer",
    [
        "http://accounts.google.com",
        "https://",
        "https://user:word@host",
        "https://host:0",
        "https://host:65536",
        "https://host:",
        "https://ho st",
        "https://host/?a=b",
        "https://host/#a",
        "https://[::1",
        "https://host\n",
        "https://host\\@other",
    ],
)
def test_what_is_no_issuer(issuer: str) -> None:
    """Without TLS, with a password, with a port that there is not: refused where it is written."""
    with pytest.raises(ValidationError):
        OidcProvider(name="a", issuer=issuer, audience="b")
