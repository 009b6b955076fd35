"""Tags, manifests and referrers, with a replica killed at every call to the storage, and races beside it."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.errors import ManifestUnknown, NameUnknown
from registry_runtime.storage import paths
from registry_runtime.storage.records import Records
from tests.images import descriptor, image, push_blobs
from tests.unit.registry_runtime.repository.interposed import Interposed, Killed, Mortal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from registry_runtime.repository import Registry
    from registry_runtime.storage.directory import Directory

    Replica = Callable[..., Registry]
    Verb = Callable[[Registry, RepositoryName], Awaitable[object]]

V1, V2 = Tag("v1"), Tag("v2")
OLD, NEW = image(), image(annotations={"n": "2"})
SIGNATURE = image(subject=descriptor(OLD, OCI_IMAGE).to_json(), annotations={"n": "3"})
MANY = 200


async def push(registry: Registry, name: RepositoryName, content: bytes, *tags: Tag) -> None:
    await registry.manifests.put(name, Digest.of(content), OCI_IMAGE, content, tags)


async def prepared(registry: Registry, name: RepositoryName) -> None:
    """An image with two tags and a signature."""
    await push_blobs(registry, name, b"{}")
    await push(registry, name, OLD, V1, V2)
    await push(registry, name, SIGNATURE)


async def tags_of(registry: Registry, name: RepositoryName) -> tuple[str, ...]:
    try:
        return (await registry.tags.list(name, 100)).items
    except NameUnknown:
        return ()


async def holds(registry: Registry, name: RepositoryName, reference: Digest | Tag) -> bool:
    try:
        await registry.manifests.get(name, reference)
    except ManifestUnknown:
        return False
    return True


async def check(records: Records, registry: Registry, name: RepositoryName) -> None:
    """Every listed tag can be pulled, every fact has its index, every signature is listed."""
    for tag in map(Tag, await tags_of(registry, name)):
        digest = await registry.tags.digest(name, tag)
        assert await records.get(records.tree.manifest(name, digest)), f"{tag} names what is not there"
        index = await records.list(records.tree.tagged(name, digest))
        assert tag.text in {entry.key.rpartition("/")[2] for entry in index.entries}, f"{tag} has no index"
    listed = {one.digest for one in (await registry.referrers.list(name, Digest.of(OLD))).items}
    assert listed == ({Digest.of(SIGNATURE)} if await holds(registry, name, Digest.of(SIGNATURE)) else set())


async def move(registry: Registry, name: RepositoryName) -> None:
    await push(registry, name, NEW, V1, V2)


async def move_back(registry: Registry, name: RepositoryName) -> None:
    await push(registry, name, OLD, V1)


async def delete(registry: Registry, name: RepositoryName) -> None:
    await registry.manifests.delete(name, Digest.of(OLD))


async def delete_tag(registry: Registry, name: RepositoryName) -> None:
    await registry.manifests.delete(name, V1)


async def delete_signature(registry: Registry, name: RepositoryName) -> None:
    await registry.manifests.delete(name, Digest.of(SIGNATURE))


async def sign(registry: Registry, name: RepositoryName) -> None:
    await push(registry, name, SIGNATURE)


VERBS = pytest.mark.parametrize("verb", [move, move_back, delete, delete_tag, delete_signature, sign])


@VERBS
@pytest.mark.parametrize("effect", ["lost", "done"])
async def test_no_call_that_kills_leaves_a_contradiction(
    records: Records, storage: Directory, replica: Replica, verb: Verb, effect: str
) -> None:
    """Whatever was done, what is shown is true; the verb once more, and a delete takes all that it should."""
    for fatal in range(1, MANY):
        name = RepositoryName(f"team/app{fatal}")
        await prepared(replica(), name)
        killed, dying = False, Mortal(storage, fatal, effect)
        try:
            await verb(replica(dying), name)
        except Killed:
            killed = True
            await dying.settle()
        await check(records, replica(), name)
        if killed:
            try:
                await verb(replica(), name)
            except ManifestUnknown:
                assert verb in {delete, delete_tag, delete_signature}
            await check(records, replica(), name)
        for content in (OLD, NEW):
            if await holds(replica(), name, Digest.of(content)):
                await replica().manifests.delete(name, Digest.of(content))
        assert await tags_of(replica(), name) == ()
        if not killed:
            return
    raise AssertionError("a verb takes fewer calls")


@VERBS
@pytest.mark.parametrize("other", [move_back, delete])
async def test_verbs_at_once_agree(
    records: Records, storage: Directory, replica: Replica, verb: Verb, other: Verb
) -> None:
    """The other steps in before any call: both are done, and what is shown is as if one came first."""
    for step in range(1, MANY):
        name = RepositoryName(f"team/app{step}")
        await prepared(replica(), name)
        calls = count(1)
        stepped_in = False

        async def interfere(_operation: str, _key: str) -> None:
            nonlocal stepped_in
            if next(calls) == step:  # noqa: B023 - called in this round only
                stepped_in = True
                await other(replica(), name)  # noqa: B023 - called in this round only

        try:
            await verb(replica(Interposed(storage, interfere)), name)
        except ManifestUnknown:
            assert other is delete or verb in {delete, delete_tag}
        await check(records, replica(), name)
        if {verb, other} == {move_back, delete} or verb is other is delete:
            both = [await holds(replica(), name, reference) for reference in (Digest.of(OLD), V1)]
            assert both in ([True, True], [False, False])
        if not stepped_in:
            return
    raise AssertionError("a verb takes fewer calls")


async def test_a_push_killed_beside_a_delete_leaves_no_tag_for_long(
    storage: Directory, replica: Replica
) -> None:
    """A delete steps in before one call and a later one kills: whoever asks for the tag finds the truth."""
    mended = 0
    for step in range(1, 12):
        for fatal in range(step, step + 14):
            name = RepositoryName(f"team/app{step}-{fatal}")
            await push_blobs(replica(), name, b"{}")
            calls = count(1)

            async def interfere(_operation: str, _key: str) -> None:
                call = next(calls)  # noqa: B023 - called in this round only
                if call == step and await holds(replica(), name, Digest.of(OLD)):  # noqa: B023
                    await delete(replica(), name)  # noqa: B023
                if call >= fatal:  # noqa: B023
                    raise Killed

            pushing = replica(Interposed(storage, interfere))
            try:
                await push(pushing, name, OLD, V1)
            except Killed:
                listed = await tags_of(replica(), name)
                found = await holds(replica(), name, V1)
                mended += bool(listed) and not found
                assert bool(await tags_of(replica(), name)) == found
            else:
                assert await holds(replica(), name, V1)
    assert mended, "the window that is mended was never met"


async def test_a_tag_that_is_mended_is_not_taken_from_a_push(
    records: Records, storage: Directory, replica: Replica
) -> None:
    """A reader finds the manifest gone, then it is pushed with the same tag, then the tag is taken away."""
    name = RepositoryName("team/app")
    await prepared(replica(), name)
    await storage.delete(
        [records.tree.manifest(name, Digest.of(OLD))]
    )  # as a delete beside a killed push leaves it

    async def push_first(operation: str, key: str) -> None:
        if (operation, key) == ("put", paths.tag(name, V1)):
            await push(replica(), name, OLD, V1)

    assert await holds(replica(Interposed(storage, push_first)), name, V1)
    assert await holds(replica(), name, V1)
    assert await tags_of(replica(), name) == ("v1", "v2")
