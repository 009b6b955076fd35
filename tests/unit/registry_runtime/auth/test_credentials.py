"""What stands in an Authorization header."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_runtime.auth.credentials import Basic, Bearer, Unreadable, parse


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def test_the_user_name_is_free() -> None:
    """Any user, and a password with colons in it."""
    assert parse(basic("iamapikey:a:b")) == Basic("a:b")
    assert parse(basic(":secret")) == Basic("secret")


def test_a_json_key_file_logs_in() -> None:
    """With the user `_json_key` the password is a file that holds the password."""
    assert parse(basic("_json_key:" + json.dumps({"password": "secret"}))) == Basic("secret")
    for wrong in ("{", "[]", '{"password": 1}', "{}", "[" * 10_000):
        assert parse(basic(f"_json_key:{wrong}")) == Basic("")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("Bearer abc", Bearer("abc")),
        ("bearer  abc ", Bearer("abc")),
        ("Bearer ", Unreadable()),
        ("", Unreadable()),
        ("Basic", Unreadable()),
        ("Basic !!!", Unreadable()),
        ("Basic " + base64.b64encode(b"\xff\xfe").decode(), Unreadable()),
        ("Basic " + base64.b64encode(b"no colon").decode(), Unreadable()),
        ("Digest x", Unreadable()),
        ("Basic " + "A" * 100_000, Unreadable()),
    ],
)
def test_forms(header: str | None, expected: object) -> None:
    """Two schemes are known; everything else is unreadable, and none of it raises."""
    assert parse(header) == expected


@given(st.text(max_size=80))
def test_any_text_is_read(text: str) -> None:
    """No header raises."""
    parse(text)
    parse(f"Basic {text}")
    parse(basic(text) if text.isprintable() else text)


def test_secrets_do_not_print() -> None:
    """A password or bearer that gets into a log line by mistake stays hidden."""
    assert "secret" not in repr(Basic("secret"))
    assert "secret" not in repr(Bearer("secret"))
