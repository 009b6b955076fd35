"""What S3 answers when it does not do what was asked, as the storage's errors; translated here only.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageError, StorageRefused, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

_TAG = re.compile(rb"<(Code|Message)>([^<]{1,300})</")
_AGAIN = {408, 429, 500, 502, 503, 504}
_AGAIN_CODES = {
    "RequestTimeout",
    "SlowDown",
    "ServiceUnavailable",
    "ThrottlingException",  # of the key management
    "ConditionalRequestConflict",
    "OperationAborted",
    "InternalError",
}
_FEWER = {429, 503}
_FEWER_CODES = {"SlowDown", "ThrottlingException"}
_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"}
_REDIRECTS = {301, 302, 307, 308}


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer that is no success; `code` and `message` are S3's, empty where it sent no body."""

    status: int
    code: str = ""
    message: str = ""

    @classmethod
    def read(cls, status: int, body: bytes) -> Fault:
        found = {name.decode(): text.decode("utf-8", "replace") for name, text in _TAG.findall(body[:4096])}
        return cls(status, found.get("Code", ""), found.get("Message", ""))

    @classmethod
    def of(cls, response: Mapping[str, object]) -> Fault:
        """From the response of a botocore ClientError."""
        error, about = response.get("Error"), response.get("ResponseMetadata")
        code = str(error.get("Code", "")) if isinstance(error, dict) else ""
        message = str(error.get("Message", "")) if isinstance(error, dict) else ""
        status = about.get("HTTPStatusCode", 0) if isinstance(about, dict) else 0
        return cls(int(status), code, message)

    @property
    def worth_a_retry(self) -> bool:
        return self.status in _AGAIN or self.code in _AGAIN_CODES

    @property
    def throttled(self) -> bool:
        """Whether the storage asks for fewer requests."""
        return self.status in _FEWER or self.code in _FEWER_CODES

    @property
    def missing(self) -> bool:
        """Whether the object is not there, as far as the answer tells."""
        return self.status == 404 and self.code in {"NoSuchKey", "NotFound", "404"}  # noqa: PLR2004

    @property
    def missing_by_head(self) -> bool:
        """As `missing`, of HEAD, whose answer has no body. Any other 404 without a code is a gateway's."""
        return self.missing or (self.status == 404 and not self.code)  # noqa: PLR2004

    @property
    def no_upload(self) -> bool:
        """Whether a multipart is gone; some say of its parts that they are."""
        return self.code in {"NoSuchUpload", "InvalidPart"}

    def _about_encryption(self, encryption: str) -> bool:
        if self.code.lower().startswith("kms") or "kms:" in self.message:
            return True
        if encryption == "SSE-C" and self.status == 403:  # noqa: PLR2004 - nor does it tell from a missing right
            return self.code not in _KEYS and self.code != "RequestTimeTooSkewed"
        if self.status != 400:  # noqa: PLR2004
            return False
        return "ncrypt" in self.message if self.code else encryption == "SSE-C"

    def error(self, bucket: str, encryption: str = "") -> StorageError:
        """The storage's error, with the remedy; `encryption` is what the request asked for."""
        said = f"{self.status} {self.code} {self.message}".strip()
        if self._about_encryption(encryption):
            return _encryption_refused(bucket, encryption, said)
        return self._error(bucket, said)

    def _error(self, bucket: str, said: str) -> StorageError:
        if self.code == "NoSuchBucket":
            message = f"there is no bucket {bucket}; create it, or correct its name or endpoint ({said})"
            return StorageRefused(message, StorageReason.NOT_FOUND)
        if self.code in _KEYS or self.status == 401:  # noqa: PLR2004
            message = f"the bucket {bucket} refuses the credentials; correct the Secret, or the role ({said})"
            return StorageRefused(message, StorageReason.DENIED)
        if self.code == "RequestTimeTooSkewed":
            return StorageUnavailable(f"the clock of this node or of the storage is wrong ({said})")
        if self.status == 403 or self.code == "AccessDenied":  # noqa: PLR2004 - a batch of deletes says 200
            message = (
                f"the credentials may not do this in the bucket {bucket}; they need to list it and to get, "
                f"put and delete its objects and multipart uploads ({said})"
            )
            return StorageRefused(message, StorageReason.DENIED)
        if self.status in _REDIRECTS or self.code == "AuthorizationHeaderMalformed":
            message = (
                f"the bucket {bucket} lies in another region or at another endpoint; correct it ({said})"
            )
            return StorageRefused(message, StorageReason.NOT_FOUND)
        return StorageUnavailable(f"the bucket {bucket} fails: {said}")


def _encryption_refused(bucket: str, encryption: str, said: str) -> StorageRefused:
    remedy = {
        "SSE-C": "its objects lie there under another key or none, it blocks SSE-C, or a right is missing",
        "SSE-KMS": "the key must exist, and the credentials may use it (kms:GenerateDataKey, kms:Decrypt)",
    }.get(encryption, "its objects lie there under a key of the customer's: set serverSideEncryption")
    return StorageRefused(
        f"the bucket {bucket} refuses {encryption or 'requests without its encryption'}: {remedy} ({said})",
        StorageReason.SSE_REFUSED,
    )
