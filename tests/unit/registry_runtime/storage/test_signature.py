"""Our signature beside botocore's, over the same requests."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from registry_runtime.storage.s3.signature import Address, Signer, host_of

KEYS = ReadOnlyCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None, None)


READ: tuple[str, Address, dict[str, str], str] = ("GET", Address("x", "/b/k", ""), {}, "00")


class _Told(S3SigV4Auth):
    def payload(self, request: AWSRequest) -> str:
        return str(request.context["payload"])


def by_botocore(
    method: str, url: str, headers: dict[str, str], payload: str, keys: ReadOnlyCredentials
) -> dict[str, str]:
    request = AWSRequest(method=method, url=url, headers=dict(headers))
    request.context["payload"] = payload
    _Told(keys, "s3", "eu-central-1").add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


def by_us(
    method: str, url: str, headers: dict[str, str], payload: str, keys: ReadOnlyCredentials, *, date: str
) -> dict[str, str]:
    time = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    parts = urlsplit(url)
    address = Address(host_of(parts), parts.path, parts.query)
    signer = Signer("eu-central-1", lambda: time)
    signed = signer.sign(method, address, headers, payload, keys)
    assert signed.pop("host") == address.host
    return {name.lower(): value for name, value in signed.items()}


@pytest.mark.parametrize("token", [None, "a/session+token=="])
@pytest.mark.parametrize(
    "url",
    [
        "https://s3.eu-central-1.amazonaws.com/bucket/data/1",
        "https://bucket.s3.eu-central-1.amazonaws.com/a%3Ab",
        "http://127.0.0.1:9000/bucket/k?partNumber=7&uploadId=a-b%2Bc",
        "https://S3.example:443/bucket/k",
        "http://[::1]:9000/bucket/k",
    ],
)
@pytest.mark.parametrize("headers", [{}, {"If-None-Match": "*", "Range": "bytes=0-1"}, {"X-Odd": " a   b "}])
def test_it_is_the_signature_that_botocore_makes(
    url: str, headers: dict[str, str], token: str | None
) -> None:
    """For every form of address, with session tokens, with headers that have spaces."""
    keys = ReadOnlyCredentials(KEYS.access_key, KEYS.secret_key, token, None)
    theirs = by_botocore("PUT", url, headers, "UNSIGNED-PAYLOAD", keys)
    assert by_us("PUT", url, headers, "UNSIGNED-PAYLOAD", keys, date=theirs["x-amz-date"]) == theirs


@given(st.text(min_size=1, max_size=60), st.text(max_size=20))
def test_whatever_the_key_is(key: str, value: str) -> None:
    """Escaped as the driver escapes keys."""
    path = quote(key.encode(errors="replace"), safe="/-_.~")
    url = f"https://s3.example/bucket/{path}?uploadId={quote(value.encode(errors='replace'), safe='-_.~')}"
    theirs = by_botocore("GET", url, {}, "00", KEYS)
    assert by_us("GET", url, {}, "00", KEYS, date=theirs["x-amz-date"]) == theirs


def test_another_secret_or_day_is_another_key() -> None:
    """What is kept from the last signature is never used for other credentials, or the day after."""
    day = datetime(2026, 1, 1, tzinfo=UTC)
    signer = Signer("eu-central-1", lambda: day)
    rotated = ReadOnlyCredentials(KEYS.access_key, "another", None, None)
    before = signer.sign(*READ, KEYS)["Authorization"]
    assert signer.sign(*READ, rotated)["Authorization"] != before
    assert signer.sign(*READ, KEYS)["Authorization"] == before
    day = datetime(2026, 1, 2, tzinfo=UTC)
    assert "20260102/" in signer.sign(*READ, KEYS)["Authorization"]
    assert signer.sign(*READ, KEYS) == Signer("eu-central-1", lambda: day).sign(*READ, KEYS)
