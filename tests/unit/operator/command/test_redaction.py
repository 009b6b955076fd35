"""What a report must not have, in whatever form."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as some
from registry_operator.command.redaction import REDACTED, Scrubber, secret, values

from registry_runtime.contract.credential import Password

PASSWORD = Password.generate("0" * 16).text


@given(
    value=some.text(min_size=8, max_size=40), before=some.binary(max_size=5), after=some.binary(max_size=5)
)
def test_a_known_secret_is_found_in_each_form(value: str, before: bytes, after: bytes) -> None:
    """As it is, in JSON, in a URL, in hex; in base64 also between other bytes, as in a header."""
    known = value.encode(errors="surrogatepass")
    scrub = Scrubber([known]).text
    whole = base64.b64encode(before + known + after).decode()
    for text in (
        value,
        json.dumps({"a": value}),
        json.dumps(json.dumps(value)),
        quote(value),
        known.hex(),
        whole,
    ):
        scrubbed = scrub(f"x {text} y")
        assert REDACTED in scrubbed
    core = base64.b64encode(known).decode().rstrip("=")[:-1]
    assert core not in scrub(base64.b64encode(known).decode())


@pytest.mark.parametrize(
    "text",
    [
        f"login with {PASSWORD}",
        "Authorization: Bearer abcdef.ghijkl",
        "authorization: Basic dXNlcjpwYXNzd29yZA==",
        '{"password": "hunter2!"}',
        "{'clientSecret': 'hunter2!'}",
        "AWS_SECRET_ACCESS_KEY=hunter2!",
        "https://user:hunter2!@proxy.test/",
        "https://s3.test/x?X-Amz-Signature=abcdef&x=1",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "key AKIAABCDEFGHIJKLMNOP",
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEI\n-----END EC PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMHcCAQEEI (cut",
    ],
)
def test_what_looks_like_a_credential_goes(text: str) -> None:
    """Though no Secret is known that has it."""
    scrubbed = Scrubber(()).text(text)
    assert REDACTED in scrubbed
    for word in (PASSWORD, "hunter2!", "abcdef", "dXNlcjpw", "c2lnbmF0", "AKIAABCD", "MHcCAQEEI"):
        assert word not in scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "SecretNotFound: Secret port/s3 of spec.storage.s3.credentialsSecretRef does not exist",
        "AccessToken port/deployer is in force",
        '"token": null, "suspended": false',
        "policy 5f0c2b9be1a7d304 of harbour.example.com",
    ],
)
def test_what_support_needs_stays(text: str) -> None:
    """Sentences of conditions, ids and revisions."""
    assert Scrubber(()).text(text) == text


def test_environment_and_annotations_are_let_through_by_name() -> None:
    """Others' may hold anything."""
    pod = {
        "metadata": {
            "annotations": {
                "roadstead.dev/rendered": "abc",
                "kubectl.kubernetes.io/last-applied-configuration": "x",
                "vault.example.com/inline": "x",
            },
            "managedFields": [{}],
        },
        "spec": {"env": [{"name": "RUNTIME_IMAGE", "value": "r:1"}, {"name": "OTHER", "value": "x"}]},
    }
    found = Scrubber(()).object(pod)
    assert list(found["metadata"]["annotations"].values()) == ["abc", REDACTED, REDACTED]
    assert [one["value"] for one in found["spec"]["env"]] == ["r:1", REDACTED]
    assert "managedFields" not in found["metadata"]


def test_of_a_secret_names_and_sizes_are_kept() -> None:
    """And its values are what is looked for elsewhere, those within a pull secret's JSON, too."""
    auth = base64.b64encode(json.dumps({"auths": {"h": {"password": "within-json"}}}).encode()).decode()
    key = base64.b64encode(b"12345678").decode()
    obj = {
        "metadata": {"name": "x", "annotations": {"a": "b"}, "labels": {"l": "v"}},
        "data": {"key": key, "username": "YW55Ym9keQ==", ".dockerconfigjson": auth},
    }
    kept = secret(obj)
    assert kept["sizes"]["key"] == len("12345678")
    assert "12345678" not in json.dumps(kept)
    scrub = Scrubber(values(obj)).text
    assert scrub("12345678 within-json anybody") == f"{REDACTED} {REDACTED} anybody"
