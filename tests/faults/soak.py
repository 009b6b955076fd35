"""Clients that push, pull, mount, move tags and delete, and remember every promise that they were given."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import uuid
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from tests.e2e.client import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Answer, Client, digest_of

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers"}}'  # shared by all images
PATIENCE = 90.0  # seconds for which a client goes on asking
FEW, MANY = 5, 12  # images that a client deletes from, and adds to
TAGS = 4
LOST = (aiohttp.ClientError, TimeoutError, OSError)


class Broken(Exception):
    """An answer that no fault excuses."""


@dataclass(frozen=True)
class Image:
    """A manifest that was acknowledged. It goes with what it `follows`: its index, or its subject."""

    repository: str
    digest: str
    content: bytes
    media_type: str
    blobs: tuple[str, ...]
    follows: str = ""
    settled: bool = True  # no request for it was lost, so that none of them can still arrive

    @property
    def key(self) -> tuple[str, str]:
        return self.repository, self.digest

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content)}


@dataclass
class Ledger:
    """What all clients were promised."""

    images: dict[tuple[str, str], Image] = field(default_factory=dict)
    tags: dict[tuple[str, str], str] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)  # of blobs, by digest
    wrong: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)  # requests that a fault took

    def forget(self, image: Image) -> list[Image]:
        """It, and what goes with it: from now on nobody is promised any of these."""
        gone = [image, *(one for one in self.images.values() if one.follows == image.digest)]
        for one in gone:
            del self.images[one.key]
        keys = {one.key for one in gone}
        self.tags = {key: digest for key, digest in self.tags.items() if (key[0], digest) not in keys}
        return gone

    async def look(self, client: Client, image: Image) -> None:
        """Reads all of an image once, and notes where it is not what it was."""
        base = f"/v2/{image.repository}"
        paths = [f"{base}/manifests/{image.digest}", *(f"{base}/blobs/{blob}" for blob in image.blobs)]
        for path, digest in zip(paths, (image.digest, *image.blobs), strict=True):
            try:
                answer = await client.ask("GET", path, headers={"Accept": image.media_type})
            except LOST as error:
                self.failed[type(error).__name__] += 1
                continue
            if answer.status >= 500:
                self.failed[str(answer.status)] += 1
            elif answer.status == 200 and digest_of(answer.body) == digest:
                self.done["read"] += 1
            elif self.images.get(image.key) is image:  # nobody has let go of it meanwhile
                self.wrong.append(f"{client.address} {path}: {answer.status} {answer.body[:200]!r}")


@dataclass
class Worker:
    """One client with a repository of its own, which it alone writes to; others read it and mount from it."""

    client: Client
    repository: str
    ledger: Ledger
    layers: list[bytes] = field(default_factory=lambda: [secrets.token_bytes(4000) for _ in range(10)])
    tags: list[str] = field(default_factory=lambda: [f"t{number}" for number in range(TAGS)])
    deleted: deque[Image] = field(default_factory=lambda: deque(maxlen=4))
    lost: bool = False  # a request of this step may still arrive

    async def run(self, stop: asyncio.Event) -> None:
        """Until it is stopped, or was answered as no fault excuses."""
        weights = {
            self.pull: 30, self.push: 20, self.mount: 8, self.tag: 8, self.untag: 3,
            self.delete: 22, self.push_again: 6, self.push_index: 5, self.attach: 5,
        }  # fmt: skip
        try:
            while not stop.is_set():
                self.lost = False
                (step,) = random.choices(list(weights), list(weights.values()))
                await step()
        except (Broken, TimeoutError) as broken:
            self.ledger.wrong.append(f"{self.repository}: {broken or 'no answer for too long'}")

    @property
    def own(self) -> list[Image]:
        """Images that it may let go of."""
        mine = [image for image in self.ledger.images.values() if image.repository == self.repository]
        unsettled = {digest for one in mine if not one.settled for digest in (one.digest, one.follows)}
        return [image for image in mine if not image.follows and image.digest not in unsettled]

    async def insist(self, method: str, path: str, *expected: int, **words: Any) -> Answer:
        """Asks until it is answered with an expected status. Raises Broken, and TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    answer = await self.client.ask(method, f"/v2/{self.repository}/{path}", **words)
                except LOST as error:
                    self.ledger.failed[type(error).__name__] += 1
                else:
                    if answer.status in expected:
                        return answer
                    if answer.status < 500 and answer.status != 429:
                        raise Broken(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
                    self.ledger.failed[str(answer.status)] += 1
                self.lost = True
                await asyncio.sleep(0.2)

    # What a client does

    async def pull(self) -> None:
        if self.ledger.images:
            await self.ledger.look(self.client, random.choice(list(self.ledger.images.values())))

    async def push(self) -> None:
        if len(self.own) < MANY:
            layers = random.sample(self.layers, random.randint(1, 3))
            await self.put_image(layers, random.choice([*self.tags, ""]))
            self.layers[random.randrange(len(self.layers))] = secrets.token_bytes(random.randint(1, 40_000))

    async def mount(self) -> None:
        """A layer of another client's image becomes one of an image of its own."""
        others = [one for one in self.ledger.images.values() if one.repository != self.repository]
        if others:
            source = random.choice(others)
            blob = source.blobs[-1] if source.blobs else digest_of(CONFIG)
            path = f"blobs/uploads/?mount={blob}&from={source.repository}"
            answer = await self.insist("POST", path, 201, 202)
            self.ledger.done["mounted" if answer.status == 201 else "not mounted"] += 1
            await self.put_image([self.ledger.contents[blob]])

    async def tag(self) -> None:
        if self.own and self.tags:
            image, tag = random.choice(self.own), random.choice(self.tags)
            self.ledger.tags.pop((self.repository, tag), None)
            await self.put(image, tag)

    async def untag(self) -> None:
        named = [tag for tag in self.tags if (self.repository, tag) in self.ledger.tags]
        if named:
            tag = random.choice(named)
            del self.ledger.tags[self.repository, tag]
            await self.insist("DELETE", f"manifests/{tag}", 202, 404)
            self.give_up_if_lost(tag)
            self.ledger.done["untagged"] += 1

    async def delete(self) -> None:
        """It is hidden at once, from whichever replica is asked."""
        if len(self.own) > FEW:
            image = random.choice(self.own)
            with_it = self.ledger.forget(image)
            await self.insist("DELETE", f"manifests/{image.digest}", 202, 404)
            await self.insist("GET", f"manifests/{image.digest}", 404)
            self.ledger.done["deleted"] += 1
            if not self.lost and len(with_it) == 1:
                self.deleted.append(image)

    async def push_again(self) -> None:
        """What was deleted lately comes back by its manifest alone, where its blobs are still there."""
        if self.deleted:
            image = self.deleted.pop()
            await self.put(image, "")
            self.ledger.done["pushed again"] += 1

    async def push_index(self) -> None:
        """Two images that go with the index that names them."""
        if len(self.own) < MANY:
            children = [await self.put_image([layer]) for layer in random.sample(self.layers, 2)]
            manifests = [child.descriptor for child in children]
            body = self.manifest(mediaType=OCI_INDEX, manifests=manifests)
            index = Image(self.repository, digest_of(body), body, OCI_INDEX, ())
            await self.put(index, random.choice([*self.tags, ""]))
            for child in children:
                self.ledger.images[child.key] = replace(child, follows=index.digest)

    async def attach(self) -> None:
        """An artifact that refers to an image."""
        if self.own:
            subject = random.choice(self.own)
            await self.put_image([secrets.token_bytes(100)], follows=subject)

    # How it does it

    async def put_image(self, layers: list[bytes], tag: str = "", follows: Image | None = None) -> Image:
        for content in (CONFIG, *layers):
            await self.put_blob(content)
        blobs = tuple(dict.fromkeys(map(digest_of, (CONFIG, *layers))))
        config = {"mediaType": OCI_CONFIG, "digest": digest_of(CONFIG), "size": len(CONFIG)}
        named = [{"mediaType": OCI_LAYER, "digest": digest_of(one), "size": len(one)} for one in layers]
        subject = {"subject": follows.descriptor} if follows else {}
        body = self.manifest(mediaType=OCI_MANIFEST, config=config, layers=named, **subject)
        after = follows.digest if follows else ""
        return await self.put(Image(self.repository, digest_of(body), body, OCI_MANIFEST, blobs, after), tag)

    def manifest(self, **words: Any) -> bytes:
        """No two are the same."""
        return json.dumps({"schemaVersion": 2, **words, "annotations": {"id": str(uuid.uuid4())}}).encode()

    async def put(self, image: Image, tag: str) -> Image:
        """The manifest, by its tag or its digest; once more with its blobs where those are gone."""
        for _ in range(10):
            answer = await self.insist(
                "PUT",
                f"manifests/{tag or image.digest}",
                *(201, 400, 404),
                data=image.content,
                headers={"Content-Type": image.media_type},
            )
            if answer.status == 201:
                return self.acknowledged(image, tag)
            if answer.codes != ["MANIFEST_BLOB_UNKNOWN"]:
                break
            self.ledger.done["blobs had gone"] += 1
            for blob in image.blobs:
                await self.put_blob(self.ledger.contents[blob])
        raise Broken(f"PUT {image.digest}: {answer.status} {answer.body[:300]!r}")

    def acknowledged(self, image: Image, tag: str) -> Image:
        kept = replace(image, settled=image.settled and not self.lost)
        self.ledger.images[image.key] = kept
        self.ledger.done["pushed"] += 1
        if tag:
            self.ledger.tags[self.repository, tag] = image.digest
            self.give_up_if_lost(tag)
        return kept

    def give_up_if_lost(self, tag: str) -> None:
        """A lost request may arrive yet, and move the tag then: it stays as it is."""
        if self.lost and tag in self.tags:
            self.tags.remove(tag)
            self.tags.append(f"t{uuid.uuid4().hex[:8]}")

    async def put_blob(self, content: bytes) -> None:
        """As clients do: it is asked for first, and sent where it is not there."""
        digest = digest_of(content)
        self.ledger.contents[digest] = content
        for _ in range(10):
            if (await self.insist("HEAD", f"blobs/{digest}", 200, 404)).status == 200:
                return
            begun = await self.insist("POST", "blobs/uploads/", 202)
            path = begun.headers["location"].removeprefix(f"/v2/{self.repository}/")
            path += f"{'&' if '?' in path else '?'}digest={digest}"
            # A session that a lost request has written to answers that it is gone, or elsewhere.
            if (await self.insist("PUT", path, 201, 400, 404, 416, data=content)).status == 201:
                return
        raise Broken(f"blob {digest}: ten uploads did not bring it in")
