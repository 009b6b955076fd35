"""`Policy`: who may do what. It must never need a rollout, so each replica watches it."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, Field

from registry_runtime.contract.config import Frozen

KEY = "policy.json"  # the key of the policy Secret


class Action(StrEnum):
    """What can be done to a repository."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    LIST = "list"


class Sparse(Frozen):
    """Which manifests may name what is not in the repository; otherwise all of it must be there first."""

    indexes: bool = True  # manifests: BuildKit pushes an index and its images in any order
    images: bool = False  # config and layers: nobody could run what lacks one


class Claim(Frozen):
    """A Namespace that is bound: its name belongs to one account, and its repositories have these rules."""

    account: str  # name of the Kubernetes namespace that owns it
    owner: str  # UID of that Kubernetes namespace: one made again inherits nothing
    sparse: Sparse = Sparse()


class Grant(Frozen):
    """Actions on the repositories that one of the globs matches.

    A glob is matched against the full repository name: `*` stays within one path component,
    `**` spans several.
    """

    repositories: tuple[str, ...]
    actions: frozenset[Action]


class Token(Frozen):
    """An AccessToken as the runtime knows it: hashes, never a password."""

    account: str
    owner: str
    hashes: tuple[str, ...]  # SHA-256 (hex) of each password that is valid
    grants: tuple[Grant, ...]
    not_after: AwareDatetime | None = None
    suspended: bool = False


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

    `sparse` is for repositories whose namespace nobody claims.
    """

    namespaces: dict[str, Claim] = Field(default_factory=dict)
    tokens: dict[str, Token] = Field(default_factory=dict)
    anonymous: tuple[Grant, ...] = ()
    sparse: Sparse | None = None
    encryption: KeyUse | None = None

    def sparse_in(self, namespace: str) -> Sparse:
        """The rule for repositories of this namespace, claimed or not."""
        claim = self.namespaces.get(namespace)
        return claim.sparse if claim else self.sparse or Sparse()

    def encode(self) -> bytes:
        """The document of the policy Secret: the same policy gives the same bytes."""
        return _canonical(self)

    @property
    def revision(self) -> str:
        """16 hex digits that name this content; what a replica reports is compared with it."""
        return hashlib.sha256(self.encode()).hexdigest()[:16]

    @classmethod
    def merge(cls, shards: tuple[Self, ...]) -> Self:
        """One policy of all shards; a key stands in one shard only."""
        merged = cls()
        for shard in shards:
            merged = cls(
                namespaces=merged.namespaces | shard.namespaces,
                tokens=merged.tokens | shard.tokens,
                anonymous=merged.anonymous + shard.anonymous,
                sparse=merged.sparse or shard.sparse,
                encryption=merged.encryption or shard.encryption,
            )
        return merged


def _canonical(policy: Policy) -> bytes:
    """Sets and mappings in one order: a hash seed must not make another revision of the same policy."""
    ordered = Policy.model_construct(
        namespaces=dict(sorted(policy.namespaces.items())),
        tokens={
            name: token.model_copy(update={"grants": _ordered(token.grants)})
            for name, token in sorted(policy.tokens.items())
        },
        anonymous=_ordered(policy.anonymous),
        sparse=policy.sparse,
        encryption=policy.encryption,
    )
    return ordered.model_dump_json(exclude_defaults=True, warnings=False).encode()


def _ordered(grants: tuple[Grant, ...]) -> tuple[Grant, ...]:
    return tuple(
        Grant.model_construct(repositories=grant.repositories, actions=sorted(grant.actions))
        for grant in grants
    )
