"""Names of images, and which entry of a pull secret is for one."""

from __future__ import annotations

import base64
import json

import pytest
from registry_operator.observed import SecretData
from registry_operator.why.image import Entry, Image, entries, is_for

from registry_runtime.contract.credential import Password

ROBOT = Password.generate("0" * 16)


@pytest.mark.parametrize(
    ("text", "host", "repository"),
    [
        ("harbour.test/pier-one/app:v1", "harbour.test", "pier-one/app"),
        ("harbour.test:30443/pier-one/app@sha256:00", "harbour.test:30443", "pier-one/app"),
        ("harbour.test/pier-one/app:v1@sha256:00", "harbour.test", "pier-one/app"),
        ("localhost/app", "localhost", "app"),
        ("library/nginx:1", "docker.io", "library/nginx"),
        ("nginx", "docker.io", "nginx"),
    ],
)
def test_a_name_is_a_host_and_a_repository(text: str, host: str, repository: str) -> None:
    """Without tag and digest; and what has no host is Docker Hub's."""
    assert Image.parse(text) == Image(host, repository)


@pytest.mark.parametrize(
    ("entry", "taken"),
    [
        ("harbour.test", True),
        ("https://harbour.test", True),
        ("https://harbour.test/v2/", True),
        ("*.test", True),
        ("harbour.test/pier-one", True),
        ("harbour.test/other", False),
        ("private.harbour.test", False),
        ("*", False),
        ("harbour.test:443", False),
    ],
)
def test_the_kubelet_takes_an_entry_by_host_and_path(entry: str, taken: bool) -> None:
    """Stars stay within one part of the name, and the port must be the same."""
    assert is_for(entry, Image("harbour.test", "pier-one/app")) is taken


@pytest.mark.parametrize(
    "entry",
    [
        {"username": "any", "password": ROBOT.text},
        {"auth": base64.b64encode(f"any:{ROBOT.text}".encode()).decode()},
        {"username": "_json_key", "password": json.dumps({"password": ROBOT.text})},
    ],
)
def test_a_password_is_found(entry: dict[str, str]) -> None:
    """In each form that clients know."""
    content = json.dumps({"auths": {"harbour.test": entry}}).encode()
    assert entries(SecretData({".dockerconfigjson": content})) == (Entry("harbour.test", ROBOT),)
    old = json.dumps({"harbour.test": entry}).encode()
    assert entries(SecretData({".dockercfg": old})) == (Entry("harbour.test", ROBOT),)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"auths": 1}', b"\xff", b'{"auths": {"x": {"auth": "%"}}}']
)
def test_what_cannot_be_read_has_no_password(content: bytes) -> None:
    """Somebody else's Secret may hold anything."""
    assert all(one.password is None for one in entries(SecretData({".dockerconfigjson": content})))
