"""The key tree: every key of the storage is made here, and nowhere else.

roadstead.json                                     format version, owner (UID of the Registry), encrypted?
roadstead-names.json                               where it is encrypted: the secret that hides digests
data/<uuid>.<nonce>                                bytes of one blob, as uploaded; never written twice
blobs/<alg>/<hex>                                  pointer: which data or bytes, size, live | hidden | dead
placements/<alg>:<hex>/<escaped repository>        index: which repositories may serve this blob
catalog/<escaped repository>                       index: one key a repository
repositories/<name>/_blobs/<alg>:<hex>             fact: this repository may serve this blob
repositories/<name>/_loose/<alg>:<hex>             index: a manifest of which another one let go
repositories/<name>/_manifests/<alg>:<hex>         fact: the manifest, its media type and its bytes
repositories/<name>/_tags/<tag>                    fact: the descriptor that the tag names
repositories/<name>/_tagged/<alg>:<hex>/<tag>      index: tags of a manifest
repositories/<name>/_referrers/<alg>:<hex>/<alg>:<hex>   index: what refers to the first
uploads/<uuid>                                     session, once it has bytes; of data/<uuid>.<nonce>
jobs/<name>                                        which replica does a job, and how far it came
receipts/<time>                                    what a collection did
tokens/<id>/uses/<n>                               what became of the n-th use of an AccessToken, from 1 on
probe/<uuid>                                       what the self-check writes, for a moment
Kept for what is to come: namespaces/<name>, usage/<namespace>/…

Where the storage is encrypted, <alg> is the word "hidden" and <hex> a MAC of the digest.

An index is written before its fact and outlives it: whoever removed it could take it from a fact that
is being written again. So each fact has its index at every moment, and a reader ignores an index without
its fact; what is left of those is the collection's, which looks at their age and removes on a condition.
An object without a byte is a tombstone, and reads as absent: a fact that had to be withdrawn
on a condition, for which not every bucket has a conditional DELETE.

A repository's name never has a component that begins with "_", so no key is another one's prefix with
a slash. Where a name stands in one component its slashes become "!", which sorts below all that a name
may hold: the order of the escaped names is that of the names' components, and none gets longer.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING

from registry_runtime.content.name import NameRange

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry_runtime.content.digest import Digest
    from registry_runtime.content.name import RepositoryName, Tag

MARKER = "roadstead.json"
NAMES = "roadstead-names.json"
DATA = "data/"
UPLOADS = "uploads/"
PROBES = "probe/"
CATALOG = "catalog/"
BLOBS = "blobs/"
PLACEMENTS = "placements/"
REPOSITORIES = "repositories/"
JOBS = "jobs/"
RECEIPTS = "receipts/"
TOKENS = "tokens/"
REWRAPPING = JOBS + "rewrapping"
COLLECTING = JOBS + "collection"
RECORDS = (
    BLOBS,
    JOBS,
    RECEIPTS,
    REPOSITORIES,
    TOKENS,
    UPLOADS,
)  # where records lie, besides notes; in their order
_NOTES = frozenset({"_tagged", "_referrers", "_loose"})
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_HEX = r"[0-9a-z]+[:/][0-9a-f]+"  # an algorithm and its digits
_OURS = re.compile(  # what is drawn above; what else lies in a bucket may be somebody's
    rf"{re.escape(MARKER)}|{re.escape(NAMES)}"
    rf"|{DATA}{_UUID}\.[0-9a-f]+|(?:{UPLOADS}|{PROBES}){_UUID}"
    rf"|{BLOBS}{_HEX}|{PLACEMENTS}{_HEX}/[!-._0-9a-z]+|{CATALOG}[!-._0-9a-z]+"
    rf"|{REPOSITORIES}[0-9a-z][-._/0-9a-z]*/_(?:blobs|loose|manifests|tags|tagged|referrers)/[^/]+(?:/[^/]+)?"
    rf"|(?:{JOBS}|{RECEIPTS})[-.:+0-9A-Za-z]+|{TOKENS}[0-9a-z]{{16}}/uses/[0-9]+"
)
_ESCAPED = "!-.0123456789_abcdefghijklmnopqrstuvwxyz"  # the characters of escaped names, in their order


def data(name: str) -> str:
    return f"{DATA}{name}"


def upload_of(data: str) -> str:
    """The uuid of the upload that this data came with."""
    return data.partition(".")[0]


def upload(uuid: str) -> str:
    return f"{UPLOADS}{uuid}"


def probe(uuid: str) -> str:
    return f"{PROBES}{uuid}"


def receipt(moment: str) -> str:
    return f"{RECEIPTS}{moment}"


def use(token: str, number: int) -> str:
    """`token` is an AccessToken's id: letters and digits."""
    return f"{TOKENS}{token}/uses/{number}"


def catalog(name: RepositoryName) -> str:
    return CATALOG + escape(name.text)


def loose(name: RepositoryName) -> str:
    """It sorts before the manifests: whoever walks through a repository knows these when it meets those."""
    return f"{REPOSITORIES}{name}/_loose/"


def manifests(name: RepositoryName) -> str:
    return f"{REPOSITORIES}{name}/_manifests/"


def tags(name: RepositoryName) -> str:
    return f"{REPOSITORIES}{name}/_tags/"


def tag(name: RepositoryName, tag: Tag) -> str:
    return f"{tags(name)}{tag}"


class Tree:
    """The keys in which a digest stands; `called` gives the component that stands for it."""

    def __init__(self, called: Callable[[Digest], str] = str) -> None:
        self._called = called

    def component(self, digest: Digest) -> str:
        """What stands for the digest in the keys."""
        return self._called(digest)

    def pointer(self, digest: Digest) -> str:
        return BLOBS + self._called(digest).replace(":", "/")

    def placements(self, digest: Digest) -> str:
        return f"{PLACEMENTS}{self._called(digest)}/"

    def placement(self, digest: Digest, name: RepositoryName) -> str:
        return self.placements(digest) + escape(name.text)

    def link(self, name: RepositoryName, digest: Digest) -> str:
        return f"{REPOSITORIES}{name}/_blobs/{self._called(digest)}"

    def manifest(self, name: RepositoryName, digest: Digest) -> str:
        return manifests(name) + self._called(digest)

    def tagged(self, name: RepositoryName, digest: Digest) -> str:
        return f"{REPOSITORIES}{name}/_tagged/{self._called(digest)}/"

    def tagged_as(self, name: RepositoryName, digest: Digest, tag: Tag) -> str:
        return f"{self.tagged(name, digest)}{tag}"

    def referrers(self, name: RepositoryName, subject: Digest) -> str:
        return f"{REPOSITORIES}{name}/_referrers/{self._called(subject)}/"

    def referrer(self, name: RepositoryName, subject: Digest, digest: Digest) -> str:
        return self.referrers(name, subject) + self._called(digest)


def is_ours(key: str) -> bool:
    """Whether the key has the form of one that is drawn above."""
    return _OURS.fullmatch(key) is not None


def is_note(key: str) -> bool:
    """Whether an index lies there, below `repositories/`; a tag may be called as one is."""
    return next((part for part in key.split("/") if part.startswith("_")), "") in _NOTES


def escape(name: str) -> str:
    """A repository's name as one component of a key."""
    return name.replace("/", "!")


def unescape(component: str) -> str:
    return component.replace("!", "/")


def just_before(component: str) -> str:
    """A text behind all escaped names that come before this one: whoever lists after it begins here."""
    place = bisect_left(_ESCAPED, component[-1:])
    before = f"{_ESCAPED[place - 1]}{NameRange.END}" if place else ""
    return component[:-1] + before
