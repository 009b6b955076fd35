"""The walk through the repositories: manifests name blobs and each other; links that none names go.

Of a manifest, only one that another one let go of may go: its index or its subject was deleted, and no tag,
no index and no subject keeps it. Any other one without a tag may have been pushed by its digest on purpose.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from registry_runtime.content import manifest as rules
from registry_runtime.content.descriptor import Descriptor
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.errors import RegistryError, StorageUnavailable
from registry_runtime.repository import facts
from registry_runtime.repository.collection.receipt import Kind
from registry_runtime.repository.collection.taking import WIDTH
from registry_runtime.repository.collection.walk import folders, pages, place
from registry_runtime.repository.parallel import each
from registry_runtime.storage import paths
from registry_runtime.storage.base import PAGE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from registry_runtime.repository.collection.marks import Marks
    from registry_runtime.repository.collection.taking import Taking
    from registry_runtime.storage.base import Entry, Storage

LINKS = 500_000  # of one repository that are in memory; where there are more they are listed once more
LOOSE = 100_000  # manifests of one repository that one pass considers
_SMALL = 64 * 1024  # bytes: manifests of which many may be in memory
_FEW = 4


@dataclass(slots=True)
class _Loose:
    """A manifest that another one let go of, and what it would let go of itself.

    `again`: it was pushed since, and then stays as any other one does.
    """

    component: str
    children: tuple[str, ...]
    subject: str | None
    hidden: bool
    again: bool


class Repositories:
    """Walks through all repositories; `turn` is called for each page of keys."""

    def __init__(
        self, storage: Storage, taking: Taking, marks: Marks, turn: Callable[[], Awaitable[None]]
    ) -> None:
        self._storage = storage
        self._taking = taking
        self._marks = marks
        self._turn = turn

    async def run(self) -> None:
        visit: _Visit | None = None
        async for entries in pages(self._storage, paths.REPOSITORIES):
            await self._turn()
            for name, folder, group in folders(entries):
                if visit is None or visit.name != name:
                    if visit is not None:
                        await visit.end()
                    visit = _Visit(self._storage, self._taking, self._marks, name)
                await visit.take(folder, group)
        if visit is not None:
            await visit.end()


class _Visit:
    """One repository, its folders in the order of their names; it is judged when all has been seen."""

    def __init__(self, storage: Storage, taking: Taking, marks: Marks, name: str) -> None:
        self.name = name
        self._storage = storage
        self._taking = taking
        self._tree = taking.records.tree
        self._marks = marks
        self._old = bytearray()  # components of links, a line each
        self._links = 0
        self._loose: dict[str, Entry] = {}
        self._manifests: list[_Loose] = []
        self._tags: defaultdict[str, list[str]] = defaultdict(list)  # of loose manifests
        self._referrers: defaultdict[str, list[str]] = defaultdict(list)
        self._unread = False
        self._takers = {
            "blobs": self._see_links,
            "loose": self._see_loose,
            "manifests": self._see_manifests,
            "referrers": self._see_referrers,
            "tagged": self._see_tagged,
        }

    async def take(self, folder: str, entries: Sequence[Entry]) -> None:
        await self._taking.bury(entry for entry in entries if not entry.size)
        see = self._takers.get(folder)
        if see:
            await see([entry for entry in entries if entry.size])

    async def end(self) -> None:
        """All that the repository's manifests name is known."""
        await each(self._judge, self._manifests)
        gone = [entry for component, entry in self._loose.items() if not self._there(component)]
        await self._taking.drop(gone)
        if self._links <= LINKS:
            await self._judge_links(self._old.decode().split())
            return
        async for entries in pages(self._storage, f"{paths.REPOSITORIES}{self.name}/_blobs/"):
            await self._judge_links([place(entry) for entry in entries if self._is_candidate(entry)])

    async def _see_links(self, entries: Sequence[Entry]) -> None:
        self._taking.receipt.examined[Kind.LINK] += len(entries)
        for entry in entries:
            component = place(entry)
            if not self._is_candidate(entry):
                self._marks.link(self.name, component)
                continue
            self._links += 1
            if self._links <= LINKS:
                self._old += component.encode() + b"\n"
            else:
                self._old.clear()

    def _is_candidate(self, entry: Entry) -> bool:
        return bool(entry.size) and self._taking.is_old(entry.modified)

    async def _see_loose(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if len(self._loose) < LOOSE:
                self._loose[place(entry)] = entry

    async def _see_manifests(self, entries: Sequence[Entry]) -> None:
        self._taking.receipt.examined[Kind.MANIFEST] += len(entries)
        large = any(entry.size > _SMALL for entry in entries)
        await each(self._see_manifest, entries, _FEW if large else WIDTH)

    async def _see_manifest(self, entry: Entry) -> None:
        component = place(entry)
        try:
            seen = await self._taking.records.read(entry.key)
            record, version = seen.record, seen.version
            if record is None or version is None:
                return  # deleted meanwhile
            manifest = rules.parse(record.fields["mediaType"], bytes(record.payload))
        except RegistryError as error:
            self._unread = True
            problem = f"{entry.key} cannot be read, so nothing of its repository is taken: {error.message}"
            self._taking.receipt.problem(problem)
            if isinstance(error, StorageUnavailable):
                raise
            return
        self._marks.find(self.name, component)
        blobs, children = self._components(manifest.blobs), self._components(manifest.manifests)
        for named in (*blobs, *children):
            self._marks.name(self.name, named)
        note = self._loose.get(component)
        if note is not None:
            subject = self._tree.component(manifest.subject.digest) if manifest.subject else None
            hidden = facts.is_hidden(record)
            again = not hidden and await self._taking.records.noted(note.key) != version.change
            self._manifests.append(_Loose(component, children, subject, hidden, again))

    def _components(self, descriptors: Sequence[Descriptor]) -> tuple[str, ...]:
        return tuple(self._tree.component(descriptor.digest) for descriptor in descriptors)

    async def _see_referrers(self, entries: Sequence[Entry]) -> None:
        """The index of a referrer that is not there goes; a fact would be younger than its index."""
        stale = []
        for entry in entries:
            subject, _, referrer = place(entry).partition("/")
            if not self._there(referrer):
                stale.append(entry)
            elif subject in self._loose:
                self._referrers[subject].append(referrer)
        if not self._unread:
            await self._taking.drop(stale)

    async def _see_tagged(self, entries: Sequence[Entry]) -> None:
        """The index of a tag that names another manifest by now goes."""
        old = []
        for entry in entries:
            component, _, tag = place(entry).partition("/")
            if component in self._loose:
                self._tags[component].append(tag)
            if self._taking.is_old(entry.modified) and (
                self._taking.receipt.audit or not self._there(component)
            ):
                old.append(entry)
        names = await each(self._is_current, old, WIDTH)
        await self._taking.drop(entry for entry, current in zip(old, names, strict=True) if not current)

    async def _is_current(self, entry: Entry) -> bool:
        component, _, tag = place(entry).partition("/")
        return await self._names(tag, component)

    async def _names(self, tag: str, component: str) -> bool:
        record = await self._taking.records.get(paths.tag(RepositoryName(self.name), Tag(tag)))
        if record is None:
            return False
        target = Descriptor.from_json(record.fields.get("target"), "target")
        return self._tree.component(target.digest) == component

    def _there(self, component: str) -> bool:
        return self._unread or self._marks.found(self.name, component)

    async def _judge(self, loose: _Loose) -> None:
        key = paths.manifests(RepositoryName(self.name)) + loose.component
        if self._unread:
            return
        if await self._is_kept(loose):
            if loose.hidden:
                await self._taking.keep(Kind.MANIFEST, key)
            await self._taking.drop([self._loose[loose.component]])
        elif loose.hidden:
            await self._release(loose)
            await self._taking.let_go(Kind.MANIFEST, key)
        else:
            await self._taking.let_go(Kind.MANIFEST, key)

    async def _is_kept(self, loose: _Loose) -> bool:
        if loose.again or self._marks.names(self.name, loose.component):
            return True
        if loose.subject is not None and self._there(loose.subject):
            return True
        for tag in self._tags[loose.component]:
            if await self._names(tag, loose.component):
                return True
        return False

    async def _release(self, loose: _Loose) -> None:
        """What it kept is loose before it goes."""
        if self._taking.receipt.preview:
            return
        released = [*loose.children, *self._referrers[loose.component]]
        await each(partial(facts.let_go, self._taking.records, RepositoryName(self.name)), released)

    async def _judge_links(self, components: Sequence[str]) -> None:
        folder = f"{paths.REPOSITORIES}{self.name}/_blobs/"

        async def judge(component: str) -> None:
            named = self._unread or self._marks.names(self.name, component)
            if named or not await self._taking.let_go(Kind.LINK, folder + component):
                self._marks.link(self.name, component)

        for start in range(0, len(components), PAGE):
            await each(judge, components[start : start + PAGE], WIDTH)
