"""Every digest of a registry, read back: catalog → tags → manifests, indexes and referrers → blobs.

What is to be read waits in a queue, tags are listed no faster than they are read, content streams through a
hash: memory grows only with the digests that were read (about 100 bytes each), so that none is read twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NamedTuple
from urllib.parse import urljoin

import aiohttp

PAGE = 100
LARGEST = 32 * 1024 * 1024  # bytes of a manifest or a list
CHUNK = 1024 * 1024
TRIES = 4
FIRST_RETRY = 0.5  # seconds
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
OCI, DOCKER = "application/vnd.oci.image", "application/vnd.docker.distribution.manifest"
MANIFESTS = f"{OCI}.manifest.v1+json, {OCI}.index.v1+json, {DOCKER}.v2+json, {DOCKER}.list.v2+json"
_DIGEST = re.compile(r"^(sha256):[0-9a-f]{64}$|^(sha512):[0-9a-f]{128}$")
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')


@dataclass(frozen=True, order=True)
class Fault:
    """Something that is not what its digest says, or not there."""

    repository: str
    digest: str
    what: str


class Item(NamedTuple):
    """A descriptor to read, and what named it."""

    repository: str
    digest: str
    size: int
    manifest: bool
    named_by: str


@dataclass
class Count:
    """What was read."""

    repositories: int = 0
    tags: int = 0
    manifests: int = 0
    blobs: int = 0
    bytes: int = 0
    skipped: int = 0  # that an earlier run had read


@dataclass
class ReadBack:
    """`done` are digests of an earlier run, `note` is told each one that is good."""

    session: aiohttp.ClientSession
    url: str
    repositories: str = "**"  # a glob
    parallel: int = 4
    done: frozenset[str] = frozenset()
    note: Callable[[str], None] = lambda _: None
    count: Count = field(default_factory=Count)
    faults: list[Fault] = field(default_factory=list)

    async def run(self) -> None:
        """Repository after repository; what one names is read by several at a time."""
        read: set[str] = set()
        async for repository in self._names("/v2/_catalog", "repositories"):
            if self.repositories == "**" or fnmatchcase(repository, self.repositories):
                self.count.repositories += 1
                await self._repository(repository, read)

    async def _repository(self, repository: str, read: set[str]) -> None:
        queue: asyncio.Queue[Item] = asyncio.Queue()
        seen: set[str] = set()

        def add(items: Iterable[Item]) -> None:
            for item in items:
                if item.digest not in seen:
                    seen.add(item.digest)
                    queue.put_nowait(item)

        async def work() -> None:
            while True:
                item = await queue.get()
                try:
                    add(await self._item(item, read))
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    self._fault(item, f"no answer: {type(error).__name__}")
                finally:
                    queue.task_done()

        workers = [asyncio.create_task(work()) for _ in range(self.parallel)]
        try:
            async for tag in self._names(f"/v2/{repository}/tags/list", "tags"):
                self.count.tags += 1
                add(await self._tag(repository, tag))
                await asyncio.sleep(0)
                if queue.qsize() > PAGE:
                    await queue.join()
            await queue.join()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _tag(self, repository: str, tag: str) -> list[Item]:
        """What the tag points to: the digest is the header's, and is read like any other."""
        path = f"/v2/{repository}/manifests/{tag}"
        status, headers, body = await self._get(path)
        digest = headers.get("Docker-Content-Digest", "")
        if status != 200 or not _DIGEST.match(digest):  # noqa: PLR2004 - HTTP
            self.faults.append(Fault(repository, tag, f"tag: {status}, digest {digest or 'missing'}"))
            return []
        return [Item(repository, digest, len(body), True, f"tag {tag}")]

    async def _item(self, item: Item, read: set[str]) -> list[Item]:
        """Reads one descriptor; returns what it names."""
        if not _DIGEST.match(item.digest):
            self._fault(item, "is no digest")
            return []
        return await (self._manifest(item) if item.manifest else self._blob(item, read))

    async def _manifest(self, item: Item) -> list[Item]:
        """Always read anew: it says what else there is."""
        status, _, body = await self._get(f"/v2/{item.repository}/manifests/{item.digest}")
        if status != 200:  # noqa: PLR2004 - HTTP
            self._fault(item, f"manifest: {status}")
            return []
        found = hasher(item.digest)
        found.update(body)
        self.count.manifests += 1
        self.count.bytes += len(body)
        if not self._is_good(item, found.hexdigest(), len(body)):
            return []
        try:
            document = json.loads(body)
            named = list(descriptors(document))
        except (ValueError, TypeError, AttributeError, RecursionError):
            self._fault(item, "manifest: cannot be read")
            return []
        referrers = await self._referrers(item)
        return [Item(item.repository, *one, item.digest) for one in (*named, *referrers)]

    async def _referrers(self, item: Item) -> list[tuple[str, int, bool]]:
        status, _, body = await self._get(f"/v2/{item.repository}/referrers/{item.digest}")
        if status != 200:  # noqa: PLR2004 - HTTP
            self._fault(item, f"referrers: {status}")
            return []
        return [
            (str(one["digest"]), int(one["size"]), True) for one in json.loads(body).get("manifests") or ()
        ]

    async def _blob(self, item: Item, read: set[str]) -> list[Item]:
        """Once for all repositories, since the bytes are the same; that it is there, in each."""
        path = f"/v2/{item.repository}/blobs/{item.digest}"
        if item.digest in read or item.digest in self.done:
            self.count.skipped += item.digest not in read
            async with self.session.head(self.url + path, allow_redirects=False) as answer:
                if answer.status != 200:  # noqa: PLR2004 - HTTP
                    self._fault(item, f"blob: {answer.status}")
            read.add(item.digest)
            return []
        read.add(item.digest)
        for left in reversed(range(TRIES)):
            try:
                await self._stream(item, path)
            except (aiohttp.ClientError, TimeoutError):
                if not left:
                    raise
                await asyncio.sleep(FIRST_RETRY * (TRIES - left))
            else:
                break
        return []

    async def _stream(self, item: Item, path: str) -> None:
        found, size = hasher(item.digest), 0
        async with self.session.get(self.url + path, allow_redirects=False) as answer:
            if answer.status != 200:  # noqa: PLR2004 - HTTP
                self._fault(item, f"blob: {answer.status}")
                return
            async for chunk in answer.content.iter_chunked(CHUNK):
                found.update(chunk)
                size += len(chunk)
        self.count.blobs += 1
        self.count.bytes += size
        if self._is_good(item, found.hexdigest(), size):
            self.note(item.digest)

    def _is_good(self, item: Item, found: str, size: int) -> bool:
        if found != item.digest.partition(":")[2]:
            self._fault(item, f"what is read has the digest {found} ({size} bytes)")
        elif size != item.size:
            self._fault(item, f"has {size} bytes, and {item.named_by} says {item.size}")
        else:
            return True
        return False

    def _fault(self, item: Item, what: str) -> None:
        self.faults.append(Fault(item.repository, item.digest, f"{what} (named by {item.named_by})"))

    async def _names(self, path: str, field_: str) -> AsyncIterator[str]:
        """All pages of a list."""
        url = f"{path}?n={PAGE}"
        while url:
            status, headers, body = await self._get(url)
            if status != 200:  # noqa: PLR2004 - HTTP
                self.faults.append(Fault(path, "", f"list: {status}"))
                return
            for name in json.loads(body).get(field_) or ():
                yield str(name)
            found = _NEXT.search(headers.get("Link", ""))
            url = urljoin(path, found[1]) if found else ""

    async def _get(self, path: str) -> tuple[int, Mapping[str, str], bytes]:
        """A small answer, asked for again where the server or the connection fails. Headers in any case."""
        for left in reversed(range(TRIES)):
            try:
                headers = {"Accept": MANIFESTS}
                async with self.session.get(
                    self.url + path, headers=headers, allow_redirects=False
                ) as answer:
                    body = await answer.content.read(LARGEST + 1)
                    while not answer.content.at_eof() and len(body) <= LARGEST:
                        body += await answer.content.read(LARGEST + 1)
                    if answer.status < 500 or not left:  # noqa: PLR2004 - HTTP
                        return answer.status, answer.headers, body
            except (aiohttp.ClientError, TimeoutError):
                if not left:
                    raise
            await asyncio.sleep(FIRST_RETRY * (TRIES - left))
        raise AssertionError


def descriptors(document: Any) -> Iterable[tuple[str, int, bool]]:
    """What a manifest or an index names: digest, size, and whether it is a manifest."""
    for one in document.get("manifests") or ():
        yield str(one["digest"]), int(one["size"]), True
    config = [document["config"]] if document.get("config") else []
    for one in (*config, *(document.get("layers") or ()), *(document.get("blobs") or ())):
        if not one.get("urls"):  # a foreign layer is not the registry's
            yield str(one["digest"]), int(one["size"]), False


def hasher(digest: str) -> Any:
    """Of the digest's own algorithm."""
    return hashlib.new(digest.partition(":")[0])
