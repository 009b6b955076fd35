"""`Policy`: who may do what. It must never need a rollout, so each replica watches it."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, AwareDatetime, Field, PlainSerializer, ValidationError, field_validator

from registry_runtime.contract.config import Frozen, Frugal
from registry_runtime.contract.subject import KUBERNETES, SELF_CHECK, KubernetesProvider, OidcProvider

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MODULUS = 2**256
KEY = "policy.json.gz"  # the key of the policy Secret
_GZIP, _GZIP_ONLY = b"\x1f\x8b", zlib.MAX_WBITS + 16
_LEVEL = 3  # half the time of the default, for a tenth more
_WITHIN = 3  # steps of a path into a token: "tokens", its id, the field
_NEWER = ("extra_forbidden", "enum")  # what pydantic calls a field, and a value, that is not known
_LONGEST = 64 * 2**20  # bytes of one document


class Action(StrEnum):
    """What can be done to a repository."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    LIST = "list"


@cache
def one_of_each(actions: frozenset[Action]) -> frozenset[Action]:
    """There are few, and a hundred thousand grants of them."""
    return actions


class Sparse(Frozen):
    """Which manifests may name what is not in the repository; otherwise all of it must be there first."""

    indexes: bool = True  # manifests: BuildKit pushes an index and its images in any order
    images: bool = False  # config and layers: nobody could run what lacks one


class Grant(Frugal, Frozen):
    """Actions on the repositories that one of the globs matches.

    A glob is matched against the full repository name: `*` stays within one path component,
    `**` spans several.
    """

    repositories: tuple[str, ...]
    actions: Annotated[
        frozenset[Action],
        AfterValidator(one_of_each),
        PlainSerializer(sorted),  # a hash seed makes no other document
    ]


class Access(Grant):
    """A grant of a Namespace to subjects, whichever account they belong to."""

    subjects: tuple[str, ...]  # as `contract.subject` writes them


class Claim(Frugal, Frozen):
    """A Namespace that is bound: its name belongs to one account, and its repositories have these rules."""

    account: str  # name of the Kubernetes namespace that owns it
    owner: str  # UID of that Kubernetes namespace: one made again inherits nothing
    sparse: Sparse = Sparse()
    access: tuple[Access, ...] = ()
    private_only: bool = False


class Uses(Frozen):
    """How many images a token may push: each is one new tag, or one digest where no tag is given.

    `repository`, `tag` and `bytes` (of the manifest and all that it names) bind each of them further.
    """

    limit: int
    repository: str | None = None
    tag: str | None = None
    bytes: int | None = None


class Token(Frugal, Frozen):
    """An AccessToken as the runtime knows it: hashes, never a password."""

    account: str
    owner: str
    hashes: tuple[str, ...]  # SHA-256 (hex) of each password that is valid
    grants: tuple[Grant, ...]
    not_after: AwareDatetime | None = None
    suspended: bool = False
    uses: Uses | None = None  # None: as many pushes as it likes
    networks: tuple[str, ...] = ()  # subnets (CIDR) that it may be used from; none: from everywhere


class KeyUse(Frozen):
    """Which of the tenant's keys encrypts, by its name in the Secret; each that is held decrypts.

    A key is named here after every replica holds it. `settled` is set after every replica has said that it
    encrypts with this one: what others encrypted may then be encrypted anew, and none of it comes back.
    `turn` is another whenever that begins again: with each change of `active`, and when a replica was seen
    that encrypts with another key. A pass of an earlier turn proves nothing, be it of the same key.
    `id` is the key's, "" only before the first replica told it. What stands under the name with another id
    never encrypts: somebody wrote over the key, and will want back what it was.
    """

    active: str
    id: str = ""
    settled: bool = False
    turn: str = ""


class Policy(Frozen):
    """Namespaces by name, tokens by id, what may be done without credentials, and the key in use.

    `sparse` is for repositories whose namespace nobody claims. `oidc` (by name) and `kubernetes` vouch for
    identities of their own. `private_only`: content is served by the private domain only.
    """

    namespaces: dict[str, Claim] = Field(default_factory=dict)
    tokens: dict[str, Token] = Field(default_factory=dict)
    anonymous: tuple[Grant, ...] = ()
    sparse: Sparse | None = None
    encryption: KeyUse | None = None
    oidc: dict[str, OidcProvider] = Field(default_factory=dict)
    kubernetes: KubernetesProvider | None = None
    private_only: bool = False

    @field_validator("oidc")
    @classmethod
    def _nobody_is_the_replica(cls, oidc: dict[str, OidcProvider]) -> dict[str, OidcProvider]:
        if SELF_CHECK in oidc:
            raise ValueError(f"{SELF_CHECK} is what a replica calls itself: name the provider otherwise")
        return oidc

    def vouches(self, provider: str, rules: str = "") -> bool:
        """Whether the word of this provider still counts, given by these rules of it ("": by any)."""
        found = self.kubernetes if provider == KUBERNETES else self.oidc.get(provider)
        return found is not None and rules in {"", found.rules}

    def is_private(self, namespace: str) -> bool:
        """Whether the repositories of this namespace are served by the private domain only."""
        claim = self.namespaces.get(namespace)
        return self.private_only or (claim is not None and claim.private_only)

    def sparse_in(self, namespace: str) -> Sparse:
        """The rule for repositories of this namespace, claimed or not."""
        claim = self.namespaces.get(namespace)
        return claim.sparse if claim else self.sparse or Sparse()

    def encode(self) -> bytes:
        """The document of the policy Secret: the same policy gives the same bytes."""
        return self.document(_members(self.namespaces), _members(self.tokens))

    def document(self, namespaces: Iterable[str], tokens: Iterable[str]) -> bytes:
        """The document with these members, sorted by name, in place of its own namespaces and tokens."""
        keyed = {"namespaces": ",".join(namespaces), "tokens": ",".join(tokens)}
        parts = [f'"{kind}":{{{members}}}' for kind, members in keyed.items() if members]
        bare = {"namespaces": {}, "tokens": {}, "oidc": dict(sorted(self.oidc.items()))}
        rest = self.model_copy(update=bare).model_dump_json(exclude_defaults=True)[1:-1]
        return f"{{{','.join([*parts, rest] if rest else parts)}}}".encode()

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """A document, or what `packed` made of it. Raises ValueError, where the content is at fault."""
        return cls.model_validate_json(_unpacked(content))

    @classmethod
    def read(cls, content: bytes) -> tuple[Self, str | None]:
        """As `decode`, but without tokens of which a newer operator says what is not known here; and which.

        A field, or a value of one: it may be a limit, which would not be held. Such a token opens nothing.
        All others count, and what was revoked is; a policy that is refused whole would keep it in force.
        """
        try:
            return cls.decode(content), None
        except ValidationError as error:
            faults = error.errors(include_input=False, include_url=False, include_context=False)
            strange = [one["loc"] for one in faults if one["type"] in _NEWER]
            if len(strange) < len(faults) or any(len(loc) < _WITHIN or loc[0] != "tokens" for loc in strange):
                raise
        document = json.loads(_unpacked(content))
        for token in {loc[1] for loc in strange}:
            del document["tokens"][token]
        known = cls.model_validate_json(json.dumps(document))
        where = ".".join(map(str, min(strange, key=str)))
        return known, f"{where}: not known to this runtime; {len(strange)} such, whose tokens open nothing"

    @property
    def revision(self) -> str:
        """16 hex digits that name this content; what a replica reports is compared with it."""
        return self.revision_with(self.keyed())

    @property
    def size(self) -> int:
        """Namespaces and tokens."""
        return len(self.namespaces) + len(self.tokens)

    def keyed(self) -> int:
        """A number for the namespaces and tokens, the same in any order: that of a merge is its parts' sum.

        SHA-256 of each, added modulo 2²⁵⁶ (Bellare and Micciancio, "A new paradigm for collision-free
        hashing", AdHash): so a replica hashes only what has changed, and not ten thousand tokens.
        """
        found = 0
        for kind, entries in (("namespaces", self.namespaces), ("tokens", self.tokens)):
            for name, entry in entries.items():
                found += number(kind, name, text(entry))
        return found % _MODULUS

    def revision_with(self, keyed: int) -> str:
        """The revision, where `keyed` is known."""
        return hashlib.sha256(b"%x\n%b" % (keyed % _MODULUS, self.document((), ()))).hexdigest()[:16]

    @classmethod
    def merge(cls, shards: tuple[Self, ...]) -> Self:
        """One policy of all shards; a key stands in one shard only."""
        merged = cls()
        for shard in shards:
            merged = cls(
                anonymous=merged.anonymous + shard.anonymous,
                sparse=merged.sparse or shard.sparse,
                encryption=merged.encryption or shard.encryption,
                oidc=merged.oidc | shard.oidc,
                kubernetes=merged.kubernetes or shard.kubernetes,
                private_only=merged.private_only or shard.private_only,
            )
        keyed = {
            "namespaces": {name: claim for shard in shards for name, claim in shard.namespaces.items()},
            "tokens": {name: token for shard in shards for name, token in shard.tokens.items()},
        }
        return merged.model_copy(update=keyed)


def packed(document: bytes) -> bytes:
    """As the Secret holds it, a quarter of the size: each write of it goes through the API server."""
    return gzip.compress(document, _LEVEL, mtime=0)


def text(entry: Claim | Token) -> str:
    """An entry of a policy in JSON."""
    return entry.model_dump_json(exclude_defaults=True)


def member(name: str, text: str) -> str:
    """The entry of this text as it stands in the document."""
    return f"{json.dumps(name)}:{text}"


def number(kind: str, name: str, text: str) -> int:
    """What the entry of this text adds to `Policy.keyed`; `kind` is "namespaces" or "tokens"."""
    return int.from_bytes(hashlib.sha256(f"{kind}/{name}\n{text}".encode()).digest(), "big")


def _unpacked(content: bytes) -> bytes:
    """Never longer than a bound, whatever it claims to be."""
    if not content.startswith(_GZIP):
        return content
    reader = zlib.decompressobj(wbits=_GZIP_ONLY)
    try:
        document = reader.decompress(content, _LONGEST)
    except zlib.error as error:
        raise ValueError(f"no gzip: {error}") from None
    if not reader.eof:
        raise ValueError(f"cut off, or longer than {_LONGEST} bytes")
    return document


def _members(entries: Mapping[str, Claim | Token]) -> list[str]:
    return [member(name, text(entries[name])) for name in sorted(entries)]
