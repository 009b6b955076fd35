"""Tags, referrers and the catalog: in order, in pages, and without what is gone."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE, OCI_INDEX
from registry_runtime.content.name import NameRange, RepositoryName, Tag
from registry_runtime.errors import NameUnknown
from tests.images import descriptor, image, index, push_blobs
from tests.unit.registry_runtime.repository.interposed import Interposed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from registry_runtime.repository import Registry
    from registry_runtime.storage.directory import Directory

NAME = RepositoryName("team/app")
IMAGE = image()


async def push(registry: Registry, name: RepositoryName, *tags: str) -> Digest:
    await push_blobs(registry, name, b"{}")
    pushed = await registry.manifests.put(name, Digest.of(IMAGE), OCI_IMAGE, IMAGE, [*map(Tag, tags)])
    return pushed.descriptor.digest


async def test_tags_come_in_pages(registry: Registry) -> None:
    """In the order of bytes, after any text, and the last page says that it is the last."""
    tags = ["1.0", "1.0-rc", "A", "_", "b", "latest"]
    await push(registry, NAME, *reversed(tags))
    assert (await registry.tags.list(NAME, 100)).items == tuple(tags)
    seen: list[str] = []
    for last_page in (False, False, True):
        page = await registry.tags.list(NAME, 2, seen[-1] if seen else "")
        seen += page.items
        assert page.more is not last_page
    assert seen == tags
    assert (await registry.tags.list(NAME, 1, "1.0-zzz")).items == ("A",)
    assert (await registry.tags.list(NAME, 5, "zzz")).items == ()
    assert (await registry.tags.list(NAME, 0)).items == ()


async def test_tags_of_nothing_are_unknown(registry: Registry) -> None:
    """Never pushed, and emptied; a repository without tags has an empty list."""
    with pytest.raises(NameUnknown):
        await registry.tags.list(NAME, 10)
    digest = await push(registry, NAME)
    assert (await registry.tags.list(NAME, 10)).items == ()
    await registry.manifests.delete(NAME, digest)
    with pytest.raises(NameUnknown):
        await registry.tags.list(NAME, 10)


async def test_tags_that_were_taken_are_passed_over(registry: Registry) -> None:
    """A page is full although keys between its tags hold nothing any more."""
    await push(registry, NAME, *(f"gone-{number}" for number in range(8)))
    await registry.manifests.delete(NAME, Digest.of(IMAGE))
    await push(registry, NAME, "a", "gone-5", "z")
    page = await registry.tags.list(NAME, 2)
    assert (page.items, page.more) == (("a", "gone-5"), True)
    page = await registry.tags.list(NAME, 2, "gone-5")
    assert (page.items, page.more) == (("z",), False)


async def test_the_catalog_shows_what_is_visible(registry: Registry) -> None:
    """Sorted by component, paged, filtered; of those that are empty only what was never pushed is missing."""
    names = ["a", "a/b", "a/b-c", "a-b", "a0", "b/x/y/z", "c"]
    for name in names:
        await push(registry, RepositoryName(name))
    await push_blobs(registry, RepositoryName("only/blobs"), b"x")

    def everything(_name: RepositoryName) -> bool:
        return True

    assert [str(one) for one in (await registry.catalog.list(everything, 100)).items] == names
    seen: list[str] = []
    more = True
    while more:
        page = await registry.catalog.list(everything, 2, seen[-1] if seen else "")
        seen += map(str, page.items)
        more = page.more
    assert seen == names
    only_a = await registry.catalog.list(lambda name: name.namespace == "a", 2)
    assert ([str(one) for one in only_a.items], only_a.more) == (["a", "a/b"], True)
    assert (await registry.catalog.list(lambda _name: False, 5)).items == ()
    assert (await registry.catalog.list(everything, 0)).items == ()


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([], []),
        ([("a", "a")], ["a"]),
        ([("a", "a/~")], ["a", "a/b", "a/b-c"]),
        ([("a/", "a/~")], ["a/b", "a/b-c"]),
        ([("c", "c"), ("a/b", "a/b~"), ("a/b-c", "a/b-c")], ["a/b", "a/b-c", "c"]),
        ([("b/x/y/z", "b/x/y/z")], ["b/x/y/z"]),
        ([("a0", "a0"), ("", "a~")], ["a", "a/b", "a/b-c", "a-b", "a0"]),
        ([("", "~")], ["a", "a/b", "a/b-c", "a-b", "a0", "b/x/y/z", "c"]),
        ([("0", "0~"), ("Z", "Z~"), ("d", "~")], []),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_the_catalog_looks_within_ranges(
    registry: Registry, ranges: list[tuple[str, str]], expected: list[str], limit: int
) -> None:
    """All that is in one of them is found, wherever they begin and overlap, in pages of any size."""
    for name in ["a", "a/b", "a/b-c", "a-b", "a0", "b/x/y/z", "c"]:
        await push(registry, RepositoryName(name))
    within = [NameRange(*one) for one in ranges]
    seen: list[str] = []
    more = True
    while more:
        last = seen[-1] if seen else ""
        page = await registry.catalog.list(lambda name: name.text in expected, limit, last, within)
        seen += map(str, page.items)
        more = page.more
    assert seen == expected


def keys(folder: Path, names: Iterable[str]) -> None:
    """Records that hold nothing, as many as nobody could push in a test."""
    folder.mkdir(parents=True)
    source = folder / "source"
    for number, name in enumerate(names):
        if number % 10_000 == 0:  # a file has 65,000 names at most
            source.unlink(missing_ok=True)
            source.write_bytes(b"{}\n")
        os.link(source, folder / name)
    source.unlink()


async def test_a_page_of_tags_costs_one_listing(
    tmp_path: Path, storage: Directory, replica: Callable[..., Registry]
) -> None:
    """The first of 100,000 tags, a full page in the middle, and the last."""
    keys(
        tmp_path / "objects" / "repositories" / "team" / "app" / "_tags", (f"v{n:06}" for n in range(100_000))
    )
    calls: list[str] = []
    registry = replica(counting(storage, calls))
    for limit, last, first, count in (
        (10, "", 0, 10),
        (1000, "v049999", 50_000, 1000),
        (9, "v099995", 99_996, 4),
    ):
        calls.clear()
        page = await registry.tags.list(NAME, limit, last)
        assert page.items == tuple(f"v{n:06}" for n in range(first, first + count))
        assert page.more is (count == limit)
        assert calls == ["list"]


async def test_the_catalog_does_not_walk_past_others(
    tmp_path: Path, storage: Directory, replica: Callable[..., Registry]
) -> None:
    """Ten repositories of ours among 50,000 of others: a listing for each of our namespaces, at most."""
    others = (f"tenant{n % 50:02}!app-{n:05}" for n in range(50_000))
    ours = [f"mine{n % 2}!app-{n}" for n in range(5)] + [f"tenant25a!app-{n}" for n in range(5)]
    keys(tmp_path / "objects" / "catalog", (*others, *ours))
    calls: list[str] = []
    registry = replica(counting(storage, calls))
    namespaces = ("mine0", "mine1", "tenant25a", "zebra")
    page = await registry.catalog.list(
        lambda name: name.namespace in namespaces,
        1000,
        within=[NameRange(name, f"{name}/~") for name in namespaces],
    )
    assert sorted(str(name).replace("/", "!") for name in page.items) == sorted(ours)
    assert not page.more
    assert calls == ["list"] * 3  # mine0 and mine1 lie side by side
    calls.clear()
    page = await registry.catalog.list(lambda _name: True, 1000)
    assert (len(page.items), page.more, calls) == (1000, True, ["list"] * 2)


def counting(storage: Directory, calls: list[str]) -> Interposed:
    async def count(operation: str, _key: str) -> None:
        calls.append(operation)

    return Interposed(storage, before=count)


async def test_referrers_follow_their_subject(registry: Registry) -> None:
    """Described as the specification says, filtered by type, in pages, gone when deleted."""
    subject = await push(registry, NAME, "v1")
    reference = replace(descriptor(IMAGE), media_type=OCI_IMAGE).to_json()
    signature = image(subject=reference, artifactType="application/signature", annotations={"k": "v"})
    plain = image(subject=reference)
    listed = index(subject=reference, artifactType="application/sbom")
    for content, kind in ((signature, OCI_IMAGE), (plain, OCI_IMAGE), (listed, OCI_INDEX)):
        pushed = await registry.manifests.put(NAME, Digest.of(content), kind, content)
        assert pushed.subject is not None
        assert pushed.subject.digest == subject
    page = await registry.referrers.list(NAME, subject)
    described = {one.digest: one for one in page.items}
    assert set(described) == set(map(Digest.of, (signature, plain, listed)))
    assert described[Digest.of(signature)].artifact_type == "application/signature"
    assert described[Digest.of(signature)].annotations == {"k": "v"}
    assert described[Digest.of(plain)].artifact_type == "application/vnd.oci.image.config.v1+json"
    assert described[Digest.of(listed)].media_type == OCI_INDEX
    only = await registry.referrers.list(NAME, subject, "application/sbom")
    assert [one.digest for one in only.items] == [Digest.of(listed)]
    first = await registry.referrers.list(NAME, subject, limit=2)
    assert (first.items, first.more) == (page.items[:2], True)
    rest = await registry.referrers.list(NAME, subject, limit=2, last=first.items[-1].digest)
    assert (rest.items, rest.more) == (page.items[2:], False)
    await registry.manifests.delete(NAME, Digest.of(plain))
    assert len((await registry.referrers.list(NAME, subject)).items) == 2


async def test_referrers_of_nothing_are_none(registry: Registry) -> None:
    """A repository that was never pushed to has an empty list, no error."""
    page = await registry.referrers.list(RepositoryName("never"), Digest.of(b"x"))
    assert (page.items, page.more) == ((), False)
