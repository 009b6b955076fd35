"""Receipts: what a collection did, or in a preview would do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

LISTED = 1000  # things that a receipt lists one by one; all are counted
_PROBLEMS = 20


class Kind(StrEnum):
    BLOB = "blob"  # a pointer, and the data that it leads to
    LINK = "link"  # of a blob to a repository
    MANIFEST = "manifest"
    INDEX = "index"
    TOMBSTONE = "tombstone"
    UPLOAD = "upload"  # sessions, multiparts and files that nobody goes on with
    ORPHAN = "orphan"  # data that neither a pointer nor a session names


@dataclass(slots=True)
class Receipt:
    """Counts by kind; `freed` and `hidden_bytes` are bytes of blobs.

    `hidden` can still be read and comes back when it is named again; `taken` is gone for ever. `began` is in
    the storage's time. `lost` are digests, as keys call them, whose data is not there.
    """

    began: datetime
    preview: bool
    audit: bool
    seconds: float = 0.0
    done: bool = False
    examined: Counter[str] = field(default_factory=Counter)
    hidden: Counter[str] = field(default_factory=Counter)
    revived: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)
    hidden_bytes: int = 0
    freed: int = 0
    listed: list[dict[str, Any]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def hide(self, kind: Kind, key: str, size: int = 0) -> None:
        self.hidden[kind] += 1
        self.hidden_bytes += size
        self._list("hidden", kind, key, size)

    def take(self, kind: Kind, key: str, size: int = 0) -> None:
        self.taken[kind] += 1
        self.freed += size
        if kind not in {Kind.INDEX, Kind.TOMBSTONE}:
            self._list("taken", kind, key, size)

    def problem(self, sentence: str) -> None:
        if len(self.problems) < _PROBLEMS:
            self.problems.append(sentence)

    def lose(self, component: str) -> None:
        if len(self.lost) < LISTED:
            self.lost.append(component)

    def _list(self, what: str, kind: Kind, key: str, size: int) -> None:
        if len(self.listed) < LISTED:
            self.listed.append({"what": what, "kind": kind, "key": key} | ({"bytes": size} if size else {}))

    def fields(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "began": self.began.isoformat(),
            "seconds": round(self.seconds, 3),
            "preview": self.preview,
            "audit": self.audit,
            "done": self.done,
            **{name: dict(getattr(self, name)) for name in ("examined", "hidden", "revived", "taken")},
            "hiddenBytes": self.hidden_bytes,
            "freedBytes": self.freed,
            "listed": self.listed,
            "lost": self.lost,
            "problems": self.problems,
        }
