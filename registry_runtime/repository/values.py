"""What the registry's verbs answer with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from registry_runtime.content.buffer import Chunks
    from registry_runtime.content.descriptor import Descriptor
    from registry_runtime.content.digest import Digest
    from registry_runtime.content.name import RepositoryName
    from registry_runtime.content.range import Span

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items in order; `more` follow after the last one, or after `end` where that says so."""

    items: tuple[Item, ...]
    more: bool = False
    end: Digest | None = None


@dataclass(frozen=True, slots=True)
class OpenBlob:
    """A blob that is being read: `chunks` is iterated once, or closed by `aclose()`.

    `size` is that of the whole blob; `span` is what the chunks hold, None for all of it. A chunk may be
    memory that is used again when nobody has it: drop each before the next, copy what must stay.
    """

    size: int
    span: Span | None
    chunks: Chunks

    @property
    def length(self) -> int:
        """Bytes that the chunks hold together."""
        return self.size if self.span is None else self.span.length

    async def aclose(self) -> None:
        await self.chunks.aclose()


@dataclass(frozen=True, slots=True)
class Upload:
    """A session: `received` bytes are in order and safe; `by` is who sent the first of them, None before."""

    id: str
    repository: RepositoryName
    received: int
    by: str | None


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest, byte for byte as it was pushed."""

    descriptor: Descriptor
    content: bytes


@dataclass(frozen=True, slots=True)
class Pushed:
    """A manifest that is there now, and the digest of its subject."""

    descriptor: Descriptor
    subject: Descriptor | None
