"""The runtime's errors, each with its code and status of the OCI distribution specification.

RegistryError
├── BlobUnknown, BlobUploadUnknown, BlobUploadInvalid, RangeNotSatisfiable, DigestInvalid, SizeInvalid
├── ManifestUnknown, ManifestInvalid, ManifestTooLarge, ManifestBlobUnknown
├── NameUnknown, NameInvalid, TagInvalid, PageInvalid, QuestionInvalid
├── Unauthorized, Denied, LoginTooLarge, TooManyRequests, IssuerUnavailable
└── StorageError          the bucket or directory
    ├── StorageUnavailable    unreachable, slow or failing: worth a retry
    └── StorageRefused        wrong credentials, no such bucket, wrong bucket: somebody must mend it

Translated to OCI error JSON in `api/errors.py` only.
https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
"""

from __future__ import annotations

from typing import Any, ClassVar

from registry_runtime.contract.state import StorageReason


class RegistryError(Exception):
    """An answer that is no success; `message` is one sentence with the remedy, `detail` is JSON."""

    code: ClassVar[str] = "UNKNOWN"
    status: ClassVar[int] = 500

    def __init__(self, message: str, detail: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class BlobUnknown(RegistryError):
    code, status = "BLOB_UNKNOWN", 404


class BlobUploadUnknown(RegistryError):
    code, status = "BLOB_UPLOAD_UNKNOWN", 404


class BlobUploadInvalid(RegistryError):
    code, status = "BLOB_UPLOAD_INVALID", 400


class RangeNotSatisfiable(RegistryError):
    """Out of order, or outside of the content; `size` is what is there, in bytes."""

    code, status = "BLOB_UPLOAD_INVALID", 416

    def __init__(self, message: str, *, size: int | None = None) -> None:
        super().__init__(message)
        self.size = size


class DigestInvalid(RegistryError):
    code, status = "DIGEST_INVALID", 400


class SizeInvalid(RegistryError):
    code, status = "SIZE_INVALID", 400


class ManifestUnknown(RegistryError):
    code, status = "MANIFEST_UNKNOWN", 404


class ManifestInvalid(RegistryError):
    code, status = "MANIFEST_INVALID", 400


class ManifestTooLarge(RegistryError):
    code, status = "MANIFEST_INVALID", 413


class LoginTooLarge(RegistryError):
    """The token endpoint's form, or the scopes asked of it, are more than a client has reason to send."""

    code, status = "SIZE_INVALID", 413


class ManifestBlobUnknown(RegistryError):
    code, status = "MANIFEST_BLOB_UNKNOWN", 404


class NameUnknown(RegistryError):
    code, status = "NAME_UNKNOWN", 404


class NameInvalid(RegistryError):
    code, status = "NAME_INVALID", 400


class TagInvalid(RegistryError):
    code, status = "TAG_INVALID", 400


class QuestionInvalid(RegistryError):
    """A parameter of a question is missing, or is none; the sentence says which."""

    code, status = "UNSUPPORTED", 400


class PageInvalid(RegistryError):
    code, status = "PAGINATION_NUMBER_INVALID", 400


class Unauthorized(RegistryError):
    """No identity, or one that is no longer valid: the answer carries the challenge.

    `scope` is what to ask a bearer for, `reason` the decision's, and `token` whose password was good: these
    two for the log only.
    """

    code, status = "UNAUTHORIZED", 401

    def __init__(
        self, message: str, *, scope: str | None = None, reason: str | None = None, token: str | None = None
    ) -> None:
        super().__init__(message)
        self.scope = scope
        self.reason = reason
        self.token = token


class Denied(RegistryError):
    """The identity is good, and may not; `reason` and `token` as in Unauthorized."""

    code, status = "DENIED", 403

    def __init__(self, message: str, *, reason: str | None = None, token: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.token = token


class TooManyRequests(RegistryError):
    """`retry_after` in seconds."""

    code, status = "TOOMANYREQUESTS", 429

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class IssuerUnavailable(RegistryError):
    """Who would have to be asked about the credentials does not answer; `retry_after` in seconds."""

    code, status = "UNAVAILABLE", 503
    reason = "IssuerUnavailable"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StorageError(RegistryError):
    """The storage did not do what was asked; `reason` is what the storage check would say.

    `left` are keys that were to be deleted and may still be there; None: any of them.
    """

    code, status = "UNAVAILABLE", 503

    def __init__(self, message: str, reason: StorageReason) -> None:
        super().__init__(message)
        self.reason = reason
        self.left: frozenset[str] | None = None


class StorageUnavailable(StorageError):
    def __init__(self, message: str) -> None:
        super().__init__(message, StorageReason.UNREACHABLE)


class StorageRefused(StorageError):
    pass
