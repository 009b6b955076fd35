"""The oracle: what clients were promised, against what lies in the bucket."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from registry_runtime.content import manifest as rules
from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import Manifest
from registry_runtime.storage import paths
from tests.simulation.bucket import Bucket

Key = tuple[str, str]  # a repository, and a digest or a tag


@dataclass
class Promise:
    """A manifest that was acknowledged; `released` when its index or subject was deleted since."""

    manifest: Manifest
    released: bool = False


@dataclass
class Oracle:
    """Told when an operation begins and when it ends; what two at once left open is promised to nobody."""

    bucket: Bucket
    time: int = 0
    promises: dict[Key, Promise] = field(default_factory=dict)
    tags: dict[Key, str] = field(default_factory=dict)
    blobs: dict[Key, datetime] = field(default_factory=dict)  # that no manifest names yet: until when
    touched: dict[tuple[str, ...], int] = field(default_factory=dict)
    doubts: dict[tuple[str, ...], datetime] = field(default_factory=dict)
    parsed: dict[str, Manifest] = field(default_factory=dict)
    active: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def begin(self, *things: tuple[str, ...]) -> int:
        """An operation that takes these things away, or moves them, begins."""
        self.time += 1
        for thing in things:
            self.active[thing] += 1
            self.touched[thing] = self.time
        return self.time

    def end(self, *things: tuple[str, ...]) -> None:
        self.time += 1
        for thing in things:
            self.active[thing] -= 1
            self.touched[thing] = self.time

    def doubt(self, until: datetime, *things: tuple[str, ...]) -> None:
        """An operation that failed may take effect until then all the same."""
        self.doubts |= dict.fromkeys(things, until)

    def is_sure(self, thing: tuple[str, ...], since: int, mine: int = 0) -> bool:
        """Whether nobody else touched it since then; so many operations on it are the asker's own."""
        doubted = self.bucket.now < self.doubts.get(thing, self.bucket.now)
        return not doubted and self.active[thing] == mine and self.touched.get(thing, 0) <= since

    def pushed(
        self, repository: str, digest: Digest, manifest: Manifest, tag: str | None, since: int
    ) -> None:
        """A manifest was acknowledged that was pushed `since`."""
        things = [("manifest", repository, str(digest))]
        things += [("blob", repository, str(blob.digest)) for blob in manifest.blobs]
        if not all(self.is_sure(thing, since) for thing in things):
            return
        released = not self.is_sure(("released", repository, str(digest)), since)
        self.promises[repository, str(digest)] = Promise(manifest, released)
        for child in manifest.manifests:
            if self.read(repository, str(child.digest)) is None:  # an index may name what is not there
                self.promises.pop((repository, str(child.digest)), None)
        if tag is not None and self.is_sure(("tag", repository, tag), since, mine=1):
            self.tags[repository, tag] = str(digest)

    def uploaded(self, repository: str, digest: str, since: int, until: datetime) -> None:
        """A push or a mount of a blob was acknowledged that began `since`."""
        if self.is_sure(("blob", repository, digest), since):
            self.blobs[repository, digest] = until

    def deleting(self, repository: str, digest: str) -> list[tuple[str, ...]]:
        """What a delete of a manifest touches."""
        self.promises.pop((repository, digest), None)
        for key in [key for key, named in self.tags.items() if key[0] == repository and named == digest]:
            del self.tags[key]
        touched: list[tuple[str, ...]] = [("manifest", repository, digest)]
        touched += [("released", repository, child) for child in self._let_go(repository, digest)]
        for thing in touched[1:]:
            promise = self.promises.get((repository, thing[2]))
            if promise:
                promise.released = True
        return touched

    def deleted(self, repository: str, digest: str, known: dict[str, Manifest]) -> None:
        """A delete found it, who knows when: what the manifest kept, of all that is known, is released."""
        self.time += 1
        kept = {str(child.digest) for child in known[digest].manifests}
        kept |= {one for one, it in known.items() if it.subject and str(it.subject.digest) == digest}
        for thing in kept:
            self.touched["released", repository, thing] = self.time
            if (repository, thing) in self.promises:
                self.promises[repository, thing].released = True

    def _let_go(self, repository: str, digest: str) -> list[str]:
        found = self.read(repository, digest)
        children = [str(child.digest) for child in found.manifests] if found else []
        prefix = f"repositories/{repository}/_referrers/{digest}/"
        return children + [key[len(prefix) :] for key in self.bucket.objects if key.startswith(prefix)]

    def deleting_blob(self, repository: str, digest: str) -> None:
        self.blobs.pop((repository, digest), None)
        for key, promise in list(self.promises.items()):
            if key[0] == repository and digest in {str(blob.digest) for blob in promise.manifest.blobs}:
                del self.promises[key]

    def read(self, repository: str, digest: str) -> Manifest | None:
        stored = self.bucket.objects.get(f"repositories/{repository}/_manifests/{digest}")
        if stored is None or not stored.content:
            return None
        if digest not in self.parsed:
            head, _, payload = stored.content.partition(b"\n")
            self.parsed[digest] = rules.parse(json.loads(head)["mediaType"], payload)
        return self.parsed[digest]

    def kept(self) -> list[Key]:
        """Promises that nothing excuses."""
        named = {
            (repository, str(child.digest))
            for (repository, _), promise in self.promises.items()
            if not promise.released
            for child in promise.manifest.manifests
        }
        tagged = {(repository, digest) for (repository, _), digest in self.tags.items()}
        return [
            key
            for key, promise in self.promises.items()
            if not promise.released or key in named or key in tagged
        ]

    def _release(self) -> None:
        """A manifest that was released may be collected, and then what it kept is released too."""
        self.time += 1  # whoever began before and ends later did so beside it
        released = [thing for thing in self.touched if thing[0] == "released"]
        for _, repository, digest in released:
            promise = self.promises.get((repository, digest))
            if (promise is not None and not promise.released) or self.read(repository, digest) is None:
                continue
            for kept in self._let_go(repository, digest):
                self.touched["released", repository, kept] = self.time
                if (repository, kept) in self.promises:
                    self.promises[repository, kept].released = True

    def check(self) -> None:
        """All that was promised can be read to its last byte."""
        self._release()
        for repository, digest in self.kept():
            manifest = self.read(repository, digest)
            assert manifest is not None, f"{repository} lost its manifest {digest}"
            for blob in manifest.blobs:
                self._check_blob(repository, str(blob.digest))
            self._check_index(paths.CATALOG + paths.escape(repository))
            if manifest.subject:
                self._check_index(f"repositories/{repository}/_referrers/{manifest.subject.digest}/{digest}")
        self.blobs = {key: until for key, until in self.blobs.items() if self.bucket.now < until}
        for repository, digest in self.blobs:
            self._check_blob(repository, digest)
        for (repository, tag), digest in self.tags.items():
            record = self.record(f"repositories/{repository}/_tags/{tag}")
            assert record is not None, f"{repository} lost its tag {tag}"
            assert record["target"]["digest"] == digest, f"the tag {tag} of {repository} names another"
            self._check_index(f"repositories/{repository}/_tagged/{digest}/{tag}")

    def _check_index(self, key: str) -> None:
        stored = self.bucket.objects.get(key)
        assert stored is not None, f"the index {key} is gone"
        assert stored.content, f"the index {key} is gone"

    def _check_blob(self, repository: str, digest: str) -> None:
        link = self.bucket.objects.get(f"repositories/{repository}/_blobs/{digest}")
        assert link is not None, f"{repository} lost its link to {digest}"
        assert link.content, f"{repository} lost its link to {digest}"
        pointer = self.record(paths.BLOBS + digest.replace(":", "/"))
        assert pointer is not None, f"the pointer of {digest} is gone"
        assert pointer["state"] != "dead", f"the pointer of {digest} is dead"
        content = self.content(digest, pointer)
        assert content is not None, f"the data of {digest} is gone"
        assert str(Digest.of(content)) == digest, f"the data of {digest} is wrong"

    def content(self, digest: str, pointer: dict[str, str]) -> bytes | None:
        """What a pointer leads to, or holds itself."""
        if not pointer["data"]:
            return self.bucket.objects[paths.BLOBS + digest.replace(":", "/")].content.partition(b"\n")[2]
        data = self.bucket.objects.get(paths.data(pointer["data"]))
        return None if data is None else data.content

    def record(self, key: str) -> dict[str, Any] | None:
        stored = self.bucket.objects.get(key)
        if stored is None or not stored.content:
            return None
        fields: dict[str, Any] = json.loads(stored.content.partition(b"\n")[0])
        return fields

    def check_clean(self) -> None:
        """Nobody is at work and all graces are over: what nothing refers to is gone, and all agrees."""
        keys = sorted(key for key, stored in self.bucket.objects.items() if stored.content)
        repositories: dict[str, dict[str, set[str]]] = {}
        for key in keys:
            if key.startswith(paths.REPOSITORIES):
                name, _, rest = key.removeprefix(paths.REPOSITORIES).partition("/_")
                folder, _, place = rest.partition("/")
                repositories.setdefault(name, {}).setdefault(folder, set()).add(place)
        linked, placed, holding = set(), set(), set()
        for name, folders in repositories.items():
            links = folders.get("blobs", set())
            manifests = {digest: self.read(name, digest) for digest in folders.get("manifests", set())}
            named = {
                str(item.digest) for one in manifests.values() if one for item in (*one.blobs, *one.manifests)
            }
            assert links <= named, f"{name} keeps links that no manifest names: {links - named}"
            tags = {
                tag: json.loads(self.bucket.objects[f"repositories/{name}/_tags/{tag}"].content)["target"]
                for tag in folders.get("tags", set())
            }
            tagged = {f"{target['digest']}/{tag}" for tag, target in tags.items()}
            assert folders.get("tagged", set()) <= tagged, "an index of tags is left"
            for place in folders.get("referrers", set()):
                assert place.partition("/")[2] in manifests, "an index of referrers is left"
            assert not folders.get("loose"), "what was let go is still being looked at"
            linked |= links
            placed |= {f"{digest}/{paths.escape(name)}" for digest in links}
            holding |= {paths.escape(name)} if manifests else set()
        pointers = {
            key.removeprefix(paths.BLOBS).replace("/", ":") for key in keys if key.startswith(paths.BLOBS)
        }
        assert pointers <= linked, f"pointers that no repository serves: {pointers - linked}"
        below = {
            prefix: {key.removeprefix(prefix) for key in keys if key.startswith(prefix)}
            for prefix in (paths.PLACEMENTS, paths.CATALOG, paths.DATA, paths.UPLOADS)
        }
        assert below[paths.PLACEMENTS] <= placed, "placements without a link"
        assert below[paths.CATALOG] <= holding, "a repository that holds nothing is in the catalog"
        named_data = {
            record["data"]
            for key in keys
            if key.startswith(paths.BLOBS)
            if (record := self.record(key)) and record["data"]
        }
        assert below[paths.DATA] == named_data, f"data and pointers differ: {below[paths.DATA] ^ named_data}"
        assert not below[paths.UPLOADS], "a session is left"
        assert not self.bucket.multiparts, "a multipart is left"
        if self.bucket.erases:
            tombstones = {key for key, stored in self.bucket.objects.items() if not stored.content}
            assert not tombstones, f"tombstones are left: {tombstones}"
