"""Pushes of tokens with uses: as many images as they may, whatever fails, and at whichever replica."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE, OCI_INDEX
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.contract.policy import Uses
from registry_runtime.errors import Denied, ManifestBlobUnknown, ManifestUnknown, NameUnknown
from registry_runtime.repository import Allowance, Registry
from registry_runtime.repository.collection import collection
from registry_runtime.repository.use import LAPSE, WINDOW, Refusal
from registry_runtime.storage import paths
from tests.images import MIXED, descriptor, image, index, push_blobs
from tests.unit.registry_runtime.repository.interposed import Interposed, Killed, Mortal

if TYPE_CHECKING:
    from registry_runtime.encryption.vault import Vault
    from registry_runtime.storage.directory import Directory
    from registry_runtime.storage.records import Records

NAME, OTHER = RepositoryName("team/app"), RepositoryName("team/other")
V1, V2 = Tag("v1"), Tag("v2")
ONE, TWO, THREE = (image(annotations={"n": str(number)}) for number in range(3))
TOKEN = "t" * 16
MANY = 60


@dataclass
class Clock:
    """The time of all replicas."""

    now: datetime = datetime(2026, 11, 21, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def replica(storage: Directory, vault: Vault | None, clock: Clock) -> Callable[..., Registry]:
    """Makes replicas that share nothing but the storage and the time; both repositories have the config."""

    def make(through: Any = storage) -> Registry:
        return Registry(through, MIXED, clock, "owner", vault)

    for name in (NAME, OTHER):
        await push_blobs(make(), name, b"{}")
    return make


def once(**bounds: Any) -> Allowance:
    return Allowance(TOKEN, Uses(limit=1, **bounds))


async def push(
    registry: Registry,
    content: bytes,
    tag: Tag | None = None,
    *,
    name: RepositoryName = NAME,
    allowance: Allowance | None = None,
    more: tuple[Tag, ...] = (),
) -> None:
    """By the tag, or by the digest, with a token of one use."""
    media_type = OCI_INDEX if b'"manifests"' in content else OCI_IMAGE
    reference = tag if tag is not None else Digest.of(content)
    await registry.manifests.put(name, reference, media_type, content, more, allowance=allowance or once())


async def refused(work: Awaitable[object]) -> Refusal:
    """Why."""
    with pytest.raises(Denied) as caught:
        await work
    return Refusal(caught.value.reason or "")


async def tags_of(registry: Registry, name: RepositoryName = NAME) -> dict[str, Digest]:
    """What its tags name, as whoever pulls them finds it."""
    try:
        listed = (await registry.tags.list(name, 100)).items
    except NameUnknown:
        return {}
    found = {tag: await registry.tags.find(name, Tag(tag)) for tag in listed}
    return {tag: digest for tag, digest in found.items() if digest is not None}


async def test_one_tag(replica: Callable[..., Registry]) -> None:
    """Then no other tag, no digest and no blob, at any replica; the same again is answered as before."""
    await push(replica(), ONE, V1)
    for registry in (replica(), replica()):
        await push(registry, ONE, V1)
        await push(registry, ONE)
        assert await refused(push(registry, ONE, V2)) is Refusal.SPENT
        assert await refused(push(registry, TWO)) is Refusal.SPENT
        assert await refused(push(registry, TWO, V2, name=OTHER)) is Refusal.SPENT
        assert await refused(registry.uses.require(once(), NAME)) is Refusal.SPENT
        assert registry.uses.known() == {TOKEN: 1}
    assert await tags_of(replica()) == {"v1": Digest.of(ONE)}


async def test_children_belong_to_the_tag(replica: Callable[..., Registry]) -> None:
    """As buildx pushes: images by their digests, then their index by its tag; blobs may come in between."""
    for content in (ONE, TWO):
        await replica().uses.require(once(), NAME)
        await push(replica(), content)
    both = index(ONE, TWO)
    await push(replica(), both, V1)
    assert await refused(push(replica(), THREE)) is Refusal.SPENT
    assert await tags_of(replica()) == {"v1": Digest.of(both)}


async def test_without_a_tag(replica: Callable[..., Registry], clock: Clock) -> None:
    """A digest keeps the use for its repository; when for an hour nothing followed it, it is spent."""
    await push(replica(), ONE)
    assert await refused(push(replica(), TWO, name=OTHER)) is Refusal.TAKEN
    assert await refused(replica().uses.require(once(), OTHER)) is Refusal.TAKEN
    clock.now += WINDOW - timedelta(seconds=1)
    await push(replica(), index(ONE))
    clock.now += WINDOW
    assert await refused(push(replica(), index(ONE), V1)) is Refusal.SPENT
    assert (await replica().manifests.stat(NAME, Digest.of(index(ONE)))).digest == Digest.of(index(ONE))


async def test_signatures(replica: Callable[..., Registry]) -> None:
    """Of the image that is pushed they are a part, in any order before its tag; of others they are not."""
    signatures = {content: signature(content) for content in (ONE, TWO)}
    await push(replica(), ONE)
    await push(replica(), signatures[ONE])
    await push(replica(), ONE, V1)
    assert await refused(push(replica(), signatures[TWO])) is Refusal.SPENT
    before = Allowance("b" * 16, Uses(limit=1))
    await push(replica(), signatures[TWO], allowance=before)
    await push(replica(), TWO, V2, allowance=before)
    for another in (signature(ONE, "another"), signature(TWO, "another")):
        assert await refused(push(replica(), another, allowance=before)) is Refusal.SPENT
    two = Allowance("c" * 16, Uses(limit=2))
    await push(replica(), signature(ONE, "another"), allowance=two)
    await push(replica(), THREE, allowance=two)
    assert await refused(push(replica(), signature(TWO, "another"), allowance=two)) is Refusal.TAKEN
    await push(replica(), THREE, Tag("v3"), allowance=two)
    assert await refused(push(replica(), signature(TWO, "another"), allowance=two)) is Refusal.SPENT


def signature(content: bytes, text: str = "") -> bytes:
    """Something that has this image as its subject."""
    subject = descriptor(content, OCI_IMAGE).to_json()
    return image(subject=subject, annotations={"text": text, "of": str(Digest.of(content))})


async def test_what_fails_takes_no_use(replica: Callable[..., Registry]) -> None:
    """Manifests whose blobs are missing, by tag and by digest; then the push that was meant."""
    lacking = image(b"never pushed")
    for tag in (None, V1):
        with pytest.raises(ManifestBlobUnknown):
            await push(replica(), lacking, tag)
    await push(replica(), ONE, V1, name=OTHER)


async def test_a_blob_that_goes_while_its_manifest_comes(
    storage: Directory, replica: Callable[..., Registry]
) -> None:
    """Deleted between the claim and the manifest: that is refused, and what was claimed is free."""
    content, layer = image(b"a layer"), Digest.of(b"a layer")
    for tag in (V1, None):
        await push_blobs(replica(), NAME, b"a layer")
        key = replica().manifests._records.tree.manifest(NAME, Digest.of(content))

        async def delete_first(operation: str, where: str) -> None:
            if (operation, where) == ("put", key) and await replica().blobs.has(NAME, layer):  # noqa: B023
                await replica().blobs.delete(NAME, layer)

        with pytest.raises(ManifestBlobUnknown):
            await push(replica(Interposed(storage, delete_first)), content, tag)
        assert await tags_of(replica()) == {}
    await push(replica(), ONE, V1, name=OTHER)


async def test_a_tag_must_be_new(replica: Callable[..., Registry]) -> None:
    """One of somebody else's stays, and costs no use; one that names the same manifest is no new tag."""
    for content, tag in ((ONE, V1), (TWO, V2)):
        await replica().manifests.put(NAME, tag, OCI_IMAGE, content)
    assert await refused(push(replica(), TWO, V1)) is Refusal.TAG_NOT_NEW
    await push(replica(), ONE, V1)
    await push(replica(), TWO, Tag("v3"))
    assert await tags_of(replica()) == {"v1": Digest.of(ONE), "v2": Digest.of(TWO), "v3": Digest.of(TWO)}


async def test_what_was_deleted_or_moved_is_not_pushed_again(replica: Callable[..., Registry]) -> None:
    """A replay of the very same push brings nothing back."""
    await push(replica(), ONE, V1)
    await replica().manifests.put(NAME, V1, OCI_IMAGE, TWO)
    assert await refused(push(replica(), ONE, V1)) is Refusal.TAG_NOT_NEW
    await replica().manifests.delete(NAME, V1)
    assert await refused(push(replica(), ONE, V1)) is Refusal.SPENT
    await replica().manifests.delete(NAME, Digest.of(ONE))
    assert await refused(push(replica(), ONE)) is Refusal.SPENT


async def test_several_uses(replica: Callable[..., Registry]) -> None:
    """Each tag of a list is one; a list that is longer than what is left sets none of its tags."""
    three = Allowance(TOKEN, Uses(limit=3))
    await push(replica(), ONE, V1, allowance=three)
    lists = [tuple(Tag(f"t{number}") for number in range(most)) for most in (3, 2)]
    registry = replica()
    assert await refused(push(registry, TWO, more=lists[0], allowance=three)) is Refusal.TAKEN
    assert set(await tags_of(replica())) == {"v1"}
    await push(registry, TWO, more=lists[1], allowance=three)
    assert set(await tags_of(replica())) == {"v1", "t0", "t1"}
    assert await refused(push(replica(), THREE, V2, allowance=three)) is Refusal.SPENT
    assert registry.uses.known() == {TOKEN: 3}
    await push(replica(), THREE, V2, allowance=Allowance(TOKEN, Uses(limit=4)))


@pytest.mark.parametrize(
    ("bounds", "good", "bad"),
    [
        ({"repository": "team/app"}, {"tag": V1}, {"tag": V1, "name": OTHER}),
        ({"tag": "v1"}, {"tag": V1}, {"tag": V2}),
        ({"tag": "v1"}, {}, {"more": (V1, V2)}),
    ],
)
async def test_bounds(replica: Callable[..., Registry], bounds: Any, good: Any, bad: Any) -> None:
    """A repository, a tag: what is beyond is refused, and takes no use."""
    assert await refused(push(replica(), ONE, allowance=once(**bounds), **bad)) is Refusal.BOUND
    await push(replica(), ONE, allowance=once(**bounds), **good)


async def test_a_bound_of_bytes(replica: Callable[..., Registry]) -> None:
    """Of the manifest and all that it names, children's layers too; what is there weighs what it weighs."""
    layer = b"x" * 1000
    await push_blobs(replica(), NAME, layer)
    child = image(layer)
    small = {"mediaType": "application/octet-stream", "digest": str(Digest.of(layer)), "size": 1}
    lying = json.dumps({**json.loads(child), "layers": [small]}).encode()
    hiding = index(child, THREE)  # one of its children is not there: it weighs as its descriptor says
    disguised = json.dumps(
        {
            **json.loads(hiding),
            "manifests": [{**descriptor(child).to_json(), "size": 1}, descriptor(THREE).to_json()],
        }
    ).encode()
    await replica().manifests.put(NAME, Digest.of(child), OCI_IMAGE, child)
    for content in (child, lying, hiding, disguised):
        assert await refused(push(replica(), content, V1, allowance=once(bytes=1000))) is Refusal.BOUND
    whole = len(hiding) + len(child) + len(layer) + len(b"{}") + len(THREE)
    assert await refused(push(replica(), hiding, V1, allowance=once(bytes=whole - 1))) is Refusal.BOUND
    await push(replica(), hiding, V1, allowance=once(bytes=whole))


async def test_what_belongs_to_no_image_is_let_go(
    replica: Callable[..., Registry], records: Records, clock: Clock
) -> None:
    """Pushed by digest, and not named by the tag's index, nor by the last digest: a collection may take it.

    What was there before, or was pushed again by somebody else, stays: the note is not of that write.
    """
    theirs, twice = (image(annotations={"n": text}) for text in ("theirs", "twice"))
    await replica().manifests.put(NAME, Digest.of(theirs), OCI_IMAGE, theirs)
    for content in (ONE, TWO, theirs, twice):
        await push(replica(), content)
    await replica().manifests.put(NAME, Digest.of(twice), OCI_IMAGE, twice)
    await push(replica(), index(ONE), V1)
    for content, expected in ((ONE, False), (TWO, True), (theirs, False), (twice, False)):
        assert await is_loose(records, content) is expected
    second = Allowance("s" * 16, Uses(limit=1))
    await push(replica(), THREE, allowance=second)
    await push(replica(), index(THREE, TWO), allowance=second)
    clock.now += WINDOW
    assert await refused(push(replica(), ONE, V2, allowance=second)) is Refusal.SPENT
    assert await is_loose(records, THREE)  # its index keeps it
    assert not await is_loose(records, index(THREE, TWO))


async def is_loose(records: Records, content: bytes) -> bool:
    """Whether there is a note of the manifest as it lies there now."""
    seen = await records.read(records.tree.manifest(NAME, Digest.of(content)))
    note = await records.noted(paths.loose(NAME) + records.tree.component(Digest.of(content)))
    return seen.version is not None and note == seen.version.change


async def test_uses_outlive_a_collection(
    replica: Callable[..., Registry], storage: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection with an audit neither reads nor removes them; the token stays spent."""
    await push(replica(), ONE, V1)
    monkeypatch.setattr(collection, "erases", lambda _storage: _answer(False))
    receipt = await replica().collection.run(audit=True)
    assert receipt is not None
    assert not receipt.problems
    assert [entry.key for entry in (await storage.list(paths.TOKENS)).entries] == [paths.use(TOKEN, 1)]
    assert await refused(push(replica(), TWO, V2)) is Refusal.SPENT


async def _answer(value: bool) -> bool:
    return value


async def test_what_a_use_costs(storage: Directory, replica: Callable[..., Registry]) -> None:
    """Decision 26 has these counts as a table: what a push with a use asks of the storage beside any other.

    Others, and whoever pulls what was pushed, ask nothing of the uses.
    """
    asked: Counter[str] = Counter()
    keys: list[str] = []

    async def note(operation: str, key: str) -> None:
        asked[operation] += 1
        keys.append(key)

    async def bill(work: Awaitable[object]) -> Counter[str]:
        asked.clear()
        await work
        return Counter(asked)

    registry = replica(Interposed(storage, note))
    allowances = [Allowance(letter * 16, Uses(limit=1)) for letter in "ab"]
    await registry.manifests.put(NAME, Tag("first"), OCI_IMAGE, image(annotations={"n": "first"}))
    by_tag = await bill(registry.manifests.put(NAME, V1, OCI_IMAGE, ONE))
    by_digest = await bill(registry.manifests.put(NAME, Digest.of(TWO), OCI_IMAGE, TWO))
    assert not any(key.startswith(paths.TOKENS) for key in keys)
    more = await bill(push(registry, THREE, V2, allowance=allowances[0]))
    assert more - by_tag == {"get": 4, "put": 3}
    other = image(annotations={"n": "other"})
    assert (await bill(push(registry, other, allowance=allowances[1]))) - by_digest == {"get": 4, "put": 2}
    assert await bill(registry.uses.require(allowances[1], NAME)) == {"get": 1}
    keys.clear()
    await registry.manifests.get(NAME, V2)
    assert await refused(registry.uses.require(allowances[0], NAME)) is Refusal.SPENT
    assert not any(key.startswith(paths.TOKENS) for key in keys)


@pytest.mark.parametrize("effect", ["lost", "done"])
@pytest.mark.parametrize("children", [False, True])
async def test_a_push_that_is_killed(
    storage: Directory, replica: Callable[..., Registry], clock: Clock, effect: str, children: bool
) -> None:
    """At any call: the same push again succeeds at once; another one when the claim has lapsed, or never."""
    both = index(ONE, TWO)
    for fatal in range(1, MANY):
        for again in (True, False):
            allowance = Allowance(f"{fatal}x{again:d}".ljust(16, "0"), Uses(limit=1))
            name = RepositoryName(f"team/app{fatal}-{again:d}")
            await push_blobs(replica(), name, b"{}")
            if children:
                await push(replica(), ONE, name=name, allowance=allowance)
            dying = Mortal(storage, fatal, effect)
            try:
                await push(replica(dying), both, V1, name=name, allowance=allowance)
            except Killed:
                await dying.settle()
            else:
                return
            if again:
                await push(replica(), both, V1, name=name, allowance=allowance)
                assert await tags_of(replica(), name) == {"v1": Digest.of(both)}
                continue
            clock.now += LAPSE
            try:
                await push(replica(), THREE, V2, name=name, allowance=allowance)
            except Denied:
                assert await tags_of(replica(), name) == {"v1": Digest.of(both)}
            else:
                assert await tags_of(replica(), name) == {"v2": Digest.of(THREE)}
    raise AssertionError("a push takes fewer calls")


@pytest.mark.parametrize("pause", [timedelta(0), LAPSE])
@pytest.mark.parametrize(
    ("content", "tag", "where"),
    [(TWO, V2, "a"), (TWO, V1, "a"), (ONE, V1, "a"), (TWO, V1, "b"), (TWO, None, "a")],
)
async def test_another_push_steps_in(  # noqa: PLR0917 - the fixtures, and what steps in
    storage: Directory,
    replica: Callable[..., Registry],
    clock: Clock,
    pause: timedelta,
    content: bytes,
    tag: Tag | None,
    where: str,
) -> None:
    """Before any call of the first one, which may have paused for long: one wins, and leaves its image.

    The other is told, and leaves nothing; the same push twice is one push.
    """
    for step in range(1, MANY):
        allowance = Allowance(f"{step}".ljust(16, "0"), Uses(limit=1))
        first, second = (RepositoryName(f"team/{one}{step}") for one in ("a", where))
        for name in (first, second):
            await push_blobs(replica(), name, b"{}")
        other = push(replica(), content, tag, name=second, allowance=allowance)
        calls, answers = count(1), {}

        async def interfere(_operation: str, _key: str) -> None:
            if next(calls) == step:  # noqa: B023 - called in this round only
                clock.now += pause
                answers[second, tag, content] = await _answered(other)  # noqa: B023

        interrupted = replica(Interposed(storage, interfere))
        answer = await _answered(push(interrupted, ONE, V1, name=first, allowance=allowance))
        if not answers:
            other.close()
            return
        answers[first, V1, ONE] = answer or answers.get((first, V1, ONE), False)
        await check(replica(), answers)
    raise AssertionError("a push takes fewer calls")


async def test_a_tag_that_is_there_keeps_its_use(
    storage: Directory, replica: Callable[..., Registry], clock: Clock
) -> None:
    """Its push was killed behind the tag, and never came again: the image is there, and has the use."""

    async def kill(operation: str, key: str) -> None:
        if (operation, key) == ("put", paths.tag(NAME, V1)):
            raise Killed

    with pytest.raises(Killed):
        await push(replica(Interposed(storage, after=kill)), ONE, V1)
    clock.now += LAPSE
    assert await refused(push(replica(), TWO, V2)) is Refusal.SPENT
    assert await tags_of(replica()) == {"v1": Digest.of(ONE)}


async def test_a_tag_that_comes_too_late_is_none(
    storage: Directory, replica: Callable[..., Registry], clock: Clock
) -> None:
    """Its push paused, was given up, wrote the tag all the same, and was killed before it could look back."""

    async def pause(operation: str, key: str) -> None:
        if (operation, key) == ("put", paths.tag(NAME, V1)):
            clock.now += LAPSE
            await push(replica(), TWO, V2)

    async def kill(operation: str, key: str) -> None:
        if (operation, key) == ("put", paths.tag(NAME, V1)):
            raise Killed

    with pytest.raises(Killed):
        await push(replica(Interposed(storage, pause, kill)), ONE, V1)
    with pytest.raises(ManifestUnknown):
        await replica().manifests.get(NAME, V1)
    assert (await replica().tags.list(NAME, 10)).items == ("v2",)


async def test_the_same_push_twice_is_one_use(
    storage: Directory, replica: Callable[..., Registry], clock: Clock
) -> None:
    """It steps in before any call of itself, which had paused for so long that its claim is not believed."""
    for step in range(1, MANY):
        name, allowance = RepositoryName(f"team/{step}"), Allowance(f"{step}".ljust(16, "0"), Uses(limit=2))
        await push_blobs(replica(), name, b"{}")
        calls, answers = count(1), []

        async def interfere(_operation: str, _key: str) -> None:
            if next(calls) == step:  # noqa: B023 - called in this round only
                clock.now += LAPSE
                answers.append(await _answered(push(replica(), ONE, V1, name=name, allowance=allowance)))  # noqa: B023

        interrupted = replica(Interposed(storage, interfere))
        answer = await _answered(push(interrupted, ONE, V1, name=name, allowance=allowance))
        if not answers:
            return
        assert answer or answers[0]
        await push(replica(), TWO, V2, name=name, allowance=allowance)
        assert (
            await refused(push(replica(), THREE, Tag("v3"), name=name, allowance=allowance)) is Refusal.SPENT
        )
    raise AssertionError("a push takes fewer calls")


async def check(registry: Registry, answers: dict[tuple[RepositoryName, Tag | None, bytes], bool]) -> None:
    """What was acknowledged is there, and is one image; what was not is nowhere."""
    won = {push for push, answer in answers.items() if answer}
    if len(won) > 1:  # a digest, and then the tag that it belongs to
        assert {tag for _, tag, _ in won} == {None, V1}
    assert won
    for push_ in answers:
        name, tag, content = push_
        tags = await tags_of(registry, name)
        if push_ in won:
            assert tag is None or tags.pop(tag.text) == Digest.of(content)
            assert (await registry.manifests.get(name, Digest.of(content))).content == content
        elif tag is not None:
            assert tags.get(tag.text) != Digest.of(content)
        if push_ not in won:
            with pytest.raises(ManifestUnknown):
                await registry.manifests.get(name, Digest.of(content))


async def _answered(work: Awaitable[object]) -> bool:
    try:
        await work
    except Denied:
        return False
    return True
