"""`ReplicaState`: the way back. Each replica serves it on its internal port, long-polled.

`GET /state?after=<version>&wait=<seconds>` answers at once when the state's `version` is another
than `after`, else when it changes or the wait (at most 60 s) is over.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from registry_runtime.contract.config import Told

REVISION_DIGITS = 12  # of a policy's revision, in a metric: as many as a float has exactly


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
    SSE_IGNORED = "ServerSideEncryptionIgnored"  # accepted and not done
    SSE_REFUSED = "ServerSideEncryptionRefused"  # no or another customer's key, a KMS key it may not use
    KEY_MISSING = "EncryptionKeyMissing"  # the storage is encrypted under a key that is not in the Secret
    WRONG_ENCRYPTION = "EncryptionMismatch"  # encrypted storage and a Registry without, or the reverse
    DAMAGED = "ContentDamaged"  # an object is not what was written there
    EMPTYING = "BeingEmptied"  # the marker says that all of it is being deleted: nothing may be written
    UNCLAIMED = "MarkerMissing"  # there is content and no marker, so nobody can tell whose it is

    @classmethod
    def _missing_(cls, value: object) -> StorageReason:  # noqa: ARG003 - any that a newer replica has
        return cls.CHECKING


class StorageState(Told):
    """The last result of the storage check, with a sentence that says the remedy."""

    reason: StorageReason = StorageReason.CHECKING
    message: str = ""

    @property
    def good(self) -> bool:
        return self.reason is StorageReason.READY


class SelfCheckReason(StrEnum):
    """How a replica's check of itself ended; these become reasons of the Registry's SelfCheckPassed."""

    PASSED = "Passed"
    CHECKING = "Checking"  # the first one is not over
    FAILED = "SelfCheckFailed"
    LATE = "SelfCheckLate"  # it passed, and not again in twice its period


class SelfCheckState(Told):
    """The last push and pull that the replica made through its own endpoint; the sentence says what failed.

    No times: what has not changed is no news.
    """

    reason: SelfCheckReason = SelfCheckReason.CHECKING
    message: str = ""

    @property
    def good(self) -> bool:
        return self.reason is SelfCheckReason.PASSED


class Rewrapping(Told):
    """How far the last pass came that encrypts the records of other keys anew under `key` (its id).

    With `done`, and `left` 0, no record of the storage needs another key. `turn` is that of the `KeyUse`
    under which the pass began, which was settled then.
    """

    key: str
    turn: str = ""
    began: datetime
    examined: int = 0
    rewrapped: int = 0
    left: int = 0  # that could not be read, or changed under the pass
    done: bool = False


class EncryptionState(Told):
    """The tenant's keys as this replica holds them."""

    keys: dict[str, str] = Field(default_factory=dict)  # names in the Secret, and ids: 16 hex digits
    active: str | None = None  # name of the key that encrypts
    problem: str | None = None  # what is wrong with a key, and the remedy
    rewrapping: Rewrapping | None = None  # where this replica makes, or made, the pass


class CollectionState(Told):
    """The last collection that this replica made."""

    began: datetime
    seconds: float
    hidden: int = 0  # facts that nothing refers to, kept for a grace
    taken: int = 0  # objects that are gone for ever
    freed: int = 0  # bytes
    problem: str | None = None


class EmptyingState(Told):
    """How far the deletion of all content has come, as this pod counts since it began.

    `owner` is the UID of the Registry. `others` is how many objects lie under the prefix that are none of the
    registry's: they stay, and `named` are the keys of the first ones. `done`: nothing of the registry is
    left, its marker included.
    """

    owner: str
    began: datetime
    objects: int = 0
    size: int = 0  # bytes
    others: int = 0
    named: tuple[str, ...] = ()
    done: bool = False


class ReplicaState(Told):
    """What one replica knows of itself."""

    version: str  # changes with any other field
    replica: str  # pod name
    zone: str
    started: datetime
    ready: bool
    policy_revision: str | None = None
    policy_problem: str | None = None  # a shard that was refused; the revision is the one before
    storage: StorageState = StorageState()
    self_check: SelfCheckState | None = None  # None: of an older runtime, which makes none
    encryption: EncryptionState | None = None
    collection: CollectionState | None = None
    emptying: EmptyingState | None = None  # of a pod that serves nobody and deletes all content
    issuers: dict[str, str | None] = Field(default_factory=dict)  # by provider: why it does not say its keys
    reviews_tokens: bool | None = None  # whether the cluster lets it; None: not asked for, or not known yet
