"""What is asked of a server that encrypts, and what it must say."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from pydantic import ValidationError

from registry_runtime.contract.config import S3Storage, SseCustomer, SseKms, SseS3
from registry_runtime.storage.s3.faults import Fault
from registry_runtime.storage.s3.sse import Encryption

SSE, KEY_ID = "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id"
ARN = "arn:aws:kms:eu-central-1:123456789012:key/1234-5678"


@pytest.mark.parametrize(
    ("settings", "headers", "missing"),
    [
        (SseS3(), {SSE: "AES256"}, ""),
        (SseS3(), {}, SSE),
        (SseS3(), {SSE: "aws:kms"}, SSE),
        (SseKms(), {SSE: "aws:kms", KEY_ID: ARN}, ""),
        (SseKms(), {SSE: "AES256"}, SSE),
        (SseKms(key_id=ARN), {SSE: "aws:kms", KEY_ID: ARN}, ""),
        (SseKms(key_id="1234-5678"), {SSE: "aws:kms", KEY_ID: ARN}, ""),
        (SseKms(key_id="tenant"), {SSE: "aws:kms", KEY_ID: "arn:aws:kms:tenant"}, ""),
        (SseKms(key_id="5678"), {SSE: "aws:kms", KEY_ID: ARN}, KEY_ID),
        (SseKms(key_id="1234-5678"), {SSE: "aws:kms"}, KEY_ID),
    ],
)
def test_only_what_was_asked_is_an_answer(
    settings: SseS3 | SseKms, headers: dict[str, str], missing: str
) -> None:
    """Another kind, another key, or nothing said is no encryption as asked; an ARN names its id."""
    terms = Encryption(settings).terms()
    assert terms.broken_by(headers) == missing
    assert not terms.touch


def test_a_key_goes_with_each_request_and_is_shown_nowhere(tmp_path: Path) -> None:
    """In making and in touching; the answer has its MD5; no repr holds it. Base64 is the same key."""
    key = bytes(range(32))
    (tmp_path / "raw").write_bytes(key)
    (tmp_path / "text").write_bytes(base64.b64encode(key) + b"\n")
    raw, text = (Encryption(SseCustomer(key=tmp_path / name)).terms() for name in ("raw", "text"))
    assert raw == text
    assert raw.make == raw.touch
    assert base64.b64encode(key).decode() in raw.make.values()
    assert base64.b64encode(key).decode() not in repr(raw)
    assert raw.broken_by(raw.said) == ""
    assert raw.broken_by({**raw.said, "x-amz-server-side-encryption-customer-key-md5": "x"})


def test_a_key_never_goes_over_plain_http() -> None:
    """The configuration refuses it, whatever the server would say."""
    with pytest.raises(ValidationError, match="https://"):
        S3Storage(bucket="b", endpoint="http://s3.test", server_side_encryption=SseCustomer(key=Path("/key")))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(400, "KMS.NotFoundException", "no key"), "SSE-KMS"),
        (Fault(404, "kms:KeyNotFound", "no key"), "SSE-KMS"),
        (Fault(403, "AccessDenied", "not authorized to perform: kms:GenerateDataKey"), "SSE-KMS"),
        (Fault(400, "InvalidRequest", "The object was stored using a form of Server Side Encryption."), ""),
        (Fault(400), "SSE-C"),
        (Fault(403, "AccessDenied", "Access Denied."), "SSE-C"),
    ],
)
def test_what_is_wrong_with_a_key_is_told_from_the_rest(fault: Fault, kind: str) -> None:
    """Wrong credentials and other bad requests keep their own reasons."""
    assert fault.error("tenant", kind).reason == "ServerSideEncryptionRefused"
    assert Fault(403, "SignatureDoesNotMatch").error("tenant", kind).reason == "AccessDenied"
    assert Fault(400, "InvalidArgument", "no").error("tenant", kind).reason == "BucketUnreachable"
