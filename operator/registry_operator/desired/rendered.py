"""The result of rendering: objects to apply, and what judging needs of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from registry_operator import names
from registry_operator.models import Key, Place, Release

if TYPE_CHECKING:
    from registry_operator.desired.draft import Draft

Child = dict[str, Any]


@dataclass(frozen=True)
class Rendered:
    """Children in the order of their applies.

    Empty while the Registry's Secrets must not be read or written: what runs then goes on unchanged.

    An object whose annotation `names.RENDERED` is equal is up to date. One that was not seen is applied only
    where none is there: it may be somebody else's, and a Secret holds what must not be made twice.
    """

    children: tuple[Child, ...]
    draft: Draft
    release: Release  # of the pods; one that this operator does not know has no Deployment among the children
    unwanted: tuple[Place, ...] = ()  # (kind, key): children of another spec, to be deleted
    turns: datetime | None = None  # when certificates are other ones, if nothing is asked

    def child(self, kind: str, key: Key) -> Child | None:
        return next((child for child in self.children if identity(child) == (kind, key)), None)


def identity(child: Mapping[str, Any]) -> Place:
    metadata = child["metadata"]
    return child["kind"], Key(metadata["namespace"], metadata["name"])


def fingerprint(child: Mapping[str, Any]) -> str:
    """The value of its annotation `names.RENDERED`."""
    return str(child["metadata"]["annotations"][names.RENDERED])
