"""Pushes of AccessTokens with uses: what each takes before it writes, and how its tag comes to count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_runtime.content.name import Tag
from registry_runtime.errors import Denied
from registry_runtime.repository import facts
from registry_runtime.repository.tags import not_new
from registry_runtime.repository.use import Image, Refusal
from registry_runtime.repository.uses import bind

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from registry_runtime.content.descriptor import Descriptor
    from registry_runtime.content.digest import Digest
    from registry_runtime.content.name import RepositoryName
    from registry_runtime.repository.tags import Tags
    from registry_runtime.repository.uses import Allowance, Held, Uses
    from registry_runtime.storage.records import Records, Version


class Limited:
    """Begins such pushes."""

    def __init__(self, records: Records, uses: Uses, tags: Tags) -> None:
        self._records = records
        self.uses = uses
        self.tags = tags

    async def begin(
        self,
        allowance: Allowance,
        name: RepositoryName,
        target: Descriptor,
        tags: Sequence[Tag],
        subject: Digest | None,
    ) -> Push:
        """What a push would take: a use for each tag that is new, or for a digest that is. Raises Denied.

        What is there already takes no use: so a push whose answer was lost may come again, as long as nobody
        has moved or deleted what it made.
        """
        bind(allowance, name, tags)
        digest = str(target.digest)
        new = [tag for tag in dict.fromkeys(tags) if await self._is_new(name, tag, target)]
        images = [Image(name.text, tag.text, digest) for tag in new]
        if not images and not await self._is_there(name, target.digest):
            there = subject is not None and await self._is_there(name, subject)
            images = [Image(name.text, None, digest, str(subject) if there else None)]
        if images:
            await self.uses.require(allowance, name)
        return Push(self, allowance, name, target, images)

    async def _is_new(self, name: RepositoryName, tag: Tag, target: Descriptor) -> bool:
        digest = await self.tags.find(name, tag)
        if digest is not None and digest != target.digest:
            raise not_new(tag)
        return digest is None

    async def _is_there(self, name: RepositoryName, digest: Digest) -> bool:
        record = await self._records.get(self._records.tree.manifest(name, digest))
        return record is not None and not facts.is_hidden(record)


class Push:
    """One push: `images` are what takes a use, one for each new tag, or one for a digest."""

    def __init__(
        self,
        by: Limited,
        allowance: Allowance,
        name: RepositoryName,
        target: Descriptor,
        images: Sequence[Image],
    ) -> None:
        self.target = target
        self._uses, self._tags = by.uses, by.tags
        self._allowance = allowance
        self._name = name
        self._images = images
        self._held: list[Held] = []
        self._written: dict[Tag, Version] = {}

    @property
    def tags(self) -> list[Tag]:
        """The new ones."""
        return [Tag(image.tag) for image in self._images if image.tag is not None]

    async def take(self) -> None:
        """Takes its uses, before anything is written. Raises Denied, and holds none then."""
        try:
            for image in self._images:
                self._held.append(await self._uses.take(self._allowance, image))
        except Denied:
            await self.back()
            raise

    async def tag(self) -> None:
        """Writes the new tags, each in the name of its use. Raises Denied where one names something else.

        One that is there by now takes no use: it came with another push of the same, or by this one's claim.
        """
        for held in list(self._held):
            if held.image.tag is None:
                continue
            tag = Tag(held.image.tag)
            version = await self._tags.add(self._name, tag, self.target, held.mark)
            if version is not None:
                self._written[tag] = version
            elif tag not in self._written:
                await self._uses.give_up(held)
                self._held.remove(held)

    async def end(self, named: Container[str], write: str) -> None:
        """The uses are done, and the tags as any other. Raises Denied where a use was given to another.

        `named` are digests that the manifest names; `write` is the change that wrote it, "" where it was
        there before.
        """
        for held in self._held:
            use = await self._uses.keep(held, write)
            if use is None:
                raise Denied("another push took the use while this one paused", reason=Refusal.TAKEN)
            tag = Tag(held.image.tag) if held.image.tag is not None else None
            if tag in self._written:
                await self._tags.settle(self._name, tag, self.target, self._written.pop(tag))
            if tag is not None:
                await self._uses.let_go(use, named)

    async def back(self) -> bool:
        """Gives back what it took; whether nothing of it counts."""
        gone = True
        for held in self._held:
            given = await self._uses.give_up(held)
            gone = gone and given
            tag = Tag(held.image.tag) if held.image.tag is not None else None
            if given and tag in self._written:
                await self._tags.take_back(self._name, tag, self._written.pop(tag))
        return gone
