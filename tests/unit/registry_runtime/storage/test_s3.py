"""What S3 answers, as errors; credentials of files; retries within their budget. No server needed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from botocore.session import Session

from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused, StorageUnavailable
from registry_runtime.storage.s3.credentials import FileCredentials, FoundCredentials
from registry_runtime.storage.s3.faults import Fault
from registry_runtime.storage.s3.retries import ATTEMPTS, Budget, delay


def xml(code: str, message: str = "said so") -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>'
        f"<RequestId>4</RequestId></Error>"
    ).encode()


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (404, "NoSuchBucket", StorageReason.NOT_FOUND),
        (403, "InvalidAccessKeyId", StorageReason.DENIED),
        (403, "SignatureDoesNotMatch", StorageReason.DENIED),
        (400, "ExpiredToken", StorageReason.DENIED),
        (403, "AccessDenied", StorageReason.DENIED),
        (301, "PermanentRedirect", StorageReason.NOT_FOUND),
        (400, "AuthorizationHeaderMalformed", StorageReason.NOT_FOUND),
        (403, "RequestTimeTooSkewed", StorageReason.UNREACHABLE),
        (500, "InternalError", StorageReason.UNREACHABLE),
        (503, "SlowDown", StorageReason.UNREACHABLE),
    ],
)
def test_each_answer_has_its_reason(status: int, code: str, reason: StorageReason) -> None:
    """What somebody must mend is refused; the rest is worth another try. The answer's words are kept."""
    error = Fault.read(status, xml(code)).error("tenant")
    assert error.reason is reason
    assert isinstance(error, StorageUnavailable if reason is StorageReason.UNREACHABLE else StorageRefused)
    assert code in error.message


def test_what_is_worth_a_retry() -> None:
    """Overload and lost races inside the server; nothing that stays as it is."""
    for status, code in (
        (503, "SlowDown"),
        (500, ""),
        (429, ""),
        (409, "OperationAborted"),
        (400, "RequestTimeout"),
    ):
        assert Fault(status, code).worth_a_retry
    for status, code in (
        (403, "AccessDenied"),
        (404, "NoSuchKey"),
        (412, "PreconditionFailed"),
        (400, "InvalidPart"),
    ):
        assert not Fault(status, code).worth_a_retry


@pytest.mark.parametrize("body", [b"", b"<html>gateway</html>", b"\xff" * 9000, b"<Code></Code>", b"{}"])
def test_a_body_that_is_no_error_document_is_no_crash(body: bytes) -> None:
    """Gateways answer in their own words."""
    fault = Fault.read(502, body)
    assert (fault.code, fault.worth_a_retry) == ("", True)
    assert "502" in fault.error("tenant").message


def test_the_response_of_botocore_is_the_same() -> None:
    """Its dictionaries are read as the document is, and nonsense is no crash."""
    response = {
        "Error": {"Code": "NoSuchBucket", "Message": "m"},
        "ResponseMetadata": {"HTTPStatusCode": 404},
    }
    assert Fault.of(response) == Fault(404, "NoSuchBucket", "m")
    assert Fault.of({}) == Fault(0)


async def test_credentials_are_the_files_of_now(tmp_path: Path) -> None:
    """Read again after a second, as the kubelet changes them: by a link to another folder."""
    now = [0.0]
    for generation, key in (("one", "AK1"), ("two", "AK2\n")):
        (tmp_path / generation).mkdir()
        (tmp_path / generation / "accessKeyID").write_text(key)
        (tmp_path / generation / "secretAccessKey").write_text("secret")
    link = tmp_path / "mounted"
    link.symlink_to("one")
    credentials = FileCredentials(link, lambda: now[0])
    first = await credentials.current()
    assert (first.access_key, first.token) == ("AK1", None)
    link.unlink()
    link.symlink_to("two")
    (tmp_path / "two" / "sessionToken").write_text("token")
    now[0] = 0.5
    assert (await credentials.current()).access_key == "AK1"
    now[0] = 1.5
    second = await credentials.current()
    assert (second.access_key, second.token) == ("AK2", "token")


@pytest.mark.parametrize("content", [None, "", " \n", b"\xff\xfe"])
async def test_missing_credentials_are_named(tmp_path: Path, content: str | bytes | None) -> None:
    """No file, an empty one, no text: refused with the key that is missing."""
    (tmp_path / "accessKeyID").write_text("AK")
    if content is not None:
        raw = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "secretAccessKey").write_bytes(raw)
    with pytest.raises(StorageRefused, match="no secretAccessKey") as refused:
        await FileCredentials(tmp_path).current()
    assert refused.value.reason is StorageReason.CREDENTIALS_MISSING


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment in which botocore finds nothing."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return monkeypatch


async def test_no_instance_is_asked_for_its_identity(nowhere: pytest.MonkeyPatch) -> None:
    """A pod has not its node's rights, and where there is no such service a request would hang."""
    asked: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(note, "127.0.0.1", 0) as metadata:
        host, port = metadata.sockets[0].getsockname()
        nowhere.delenv("AWS_EC2_METADATA_DISABLED")
        nowhere.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://{host}:{port}/")
        with pytest.raises(StorageRefused):
            await FoundCredentials(Session()).current()
    assert asked == []


async def test_an_identity_is_found_and_renewed(nowhere: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """None is refused with the remedy; one that runs out is asked for again before it does."""
    credentials = FoundCredentials(Session())
    with pytest.raises(StorageRefused, match="ServiceAccount") as refused:
        await credentials.current()
    assert refused.value.reason is StorageReason.CREDENTIALS_MISSING
    asked = tmp_path / "asked"
    (tmp_path / "issue.py").write_text(
        "import json, sys, datetime\n"
        "print('x', file=open(sys.argv[1], 'a'))\n"
        "now = datetime.datetime.now(datetime.timezone.utc)\n"
        "number = len(open(sys.argv[1]).readlines())\n"
        "soon = (now + datetime.timedelta(minutes=5 if number == 1 else 600)).isoformat()\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'AK{number}', 'SecretAccessKey': 's', "
        "'SessionToken': 't', 'Expiration': soon}))\n"
    )
    (tmp_path / "config").write_text(
        f"[default]\ncredential_process = {sys.executable} {tmp_path / 'issue.py'} {asked}\n"
    )
    credentials = FoundCredentials(Session())
    await credentials.current()
    for _ in range(3):
        found = await credentials.current()
        assert (found.access_key, found.token) == ("AK2", "t")
    assert asked.read_text() == "x\nx\n"


def test_a_budget_is_spent_and_earned() -> None:
    """Ten successes pay for one retry, and no more is saved than at the start."""
    budget = Budget(most=2, left=2)
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    for _ in range(11):
        budget.succeed()
    assert [budget.spend() for _ in range(2)] == [True, False]
    for _ in range(100):
        budget.succeed()
    assert budget.left == 2


def test_pauses_are_spread() -> None:
    """Clients that failed together do not come back together, nor ever later."""
    for attempt in range(1, ATTEMPTS):
        seen = {delay(attempt) for _ in range(200)}
        assert len(seen) == 200
        assert 0 <= min(seen) <= max(seen) <= min(3.0, 0.05 * 3**attempt)


def test_a_gateway_that_knows_no_backend_says_nothing_of_an_object() -> None:
    """Its 404 has no code of S3's; that to HEAD never has one. What is missing is taken out of lists."""
    html = b"<html><body>default backend - 404</body></html>"
    gateway = Fault.read(404, html)
    assert not gateway.missing
    assert gateway.missing_by_head
    assert isinstance(gateway.error("harbour"), StorageUnavailable)
    assert Fault.read(404, b"<Error><Code>NoSuchKey</Code></Error>").missing
