"""`ReplicaState`: the way back. Each replica serves it on its internal port, long-polled.

`GET /state?after=<version>&wait=<seconds>` answers at once when the state's `version` is another
than `after`, else when it changes or the wait (at most 60 s) is over.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from registry_runtime.contract.config import Frozen


class StorageReason(StrEnum):
    """What the storage check found; these become reasons of the Registry's condition StorageReady."""

    READY = "Ready"
    CHECKING = "Checking"
    UNREACHABLE = "BucketUnreachable"  # no connection, no DNS, TLS not trusted
    NOT_FOUND = "BucketNotFound"
    DENIED = "AccessDenied"  # wrong key or missing right
    CREDENTIALS_MISSING = "CredentialsMissing"
    WRONG_OWNER = "WrongBucket"  # the marker names another Registry or format
    NO_CONDITIONAL_WRITES = "ConditionalWritesUnsupported"


class StorageState(Frozen):
    """The last result of the storage check, with a sentence that says the remedy."""

    reason: StorageReason = StorageReason.CHECKING
    message: str = ""


class ReplicaState(Frozen):
    """What one replica knows of itself."""

    version: str  # changes with any other field
    replica: str  # pod name
    zone: str
    started: datetime
    ready: bool
    policy_revision: str | None = None
    policy_problem: str | None = None  # a shard that was refused; the revision is the one before
    storage: StorageState = StorageState()
