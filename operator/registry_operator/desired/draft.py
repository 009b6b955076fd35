"""Claims and policy of a Registry: all that a change of access touches, drafted before it is written.

A Registry may have ten thousand AccessTokens, of which one changes: of the others neither the entry, nor its
text, nor the document that holds it is made again (docs/decisions/0035-drafts.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from registry_operator import names
from registry_operator.desired.kept import Kept
from registry_operator.desired.objects import config_map, metadata, secret
from registry_operator.desired.policy import entry_of, policy, read_shard, settlement, shard
from registry_runtime.contract.policy import KEY, Policy, member, number, packed, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry_operator.claims import Settlement
    from registry_operator.desired.policy import Parts
    from registry_operator.desired.rendered import Child
    from registry_operator.models import Key, Registry
    from registry_operator.observed import RegistryObserved
    from registry_runtime.contract.policy import Claim, Token

    _Parts = tuple[Mapping[str, Any], Mapping[str, Any]]  # metadata and data of an object

KINDS = ("namespaces", "tokens")


@dataclass(frozen=True)
class Draft:
    """What the claims and the policy must be.

    `children` are the ConfigMap of the claims and the Secrets of the policy; none of these where one does not
    fit, for a policy is never in force in part.
    """

    settlement: Settlement
    policy: Policy = field(repr=False)
    revision: str
    children: tuple[Child, ...] = field(repr=False)

    @property
    def too_large(self) -> bool:
        return len(self.children) == 1


class Drafts:
    """The drafts of one Registry, one after the other."""

    def __init__(self) -> None:
        self._tokens: Kept[str, Parts, Token] = Kept(lambda _, parts: entry_of(parts))
        self._in_force: Kept[Key, bytes, Policy] = Kept(lambda _, document: read_shard(document))
        self._members: Kept[tuple[str, str], Claim | Token, _Member] = Kept(_member)
        self._documents: Kept[Key, _Shard, bytes] = Kept(_document)
        self._claims: Kept[Key, _Parts, Child] = Kept(lambda _, parts: config_map(*parts))
        self._secrets: Kept[Key, _Parts, Child] = Kept(lambda _, parts: secret(*parts))

    def draft(self, observed: RegistryObserved) -> Draft:
        """Of what is observed now. Raises RenderFailed."""
        registry = observed.registry
        settled = settlement(observed)
        whole = policy(observed, settled, self._tokens.all, self._in_force.all)
        entries = {(kind, name): one for kind in KINDS for name, one in getattr(whole, kind).items()}
        members = self._members.all(entries)
        documents = self._documents.all(_shards(registry, whole, members))
        claims = self._claims.all(_parts(registry, {names.claims(registry): settled.data}))
        fits = max(map(len, documents.values())) <= names.POLICY_BYTES
        parts = _parts(registry, {key: {KEY: document} for key, document in documents.items()})
        secrets = self._secrets.all(parts) if fits else {}
        revision = whole.revision_with(sum(one.number for one in members.values()))
        return Draft(settled, whole, revision, (*claims.values(), *secrets.values()))


def draft(observed: RegistryObserved) -> Draft:
    """The first one."""
    return Drafts().draft(observed)


class _Member(NamedTuple):
    """An entry in the document, and its part of the revision."""

    text: str
    number: int


class _Shard(NamedTuple):
    """What a document consists of: what is not keyed, and the members of each kind."""

    rest: Policy
    members: tuple[tuple[str, ...], ...]


def _parts(registry: Registry, data: Mapping[Key, Mapping[str, Any]]) -> dict[Key, _Parts]:
    """What the object of each key is made of."""
    return {key: (metadata(registry, key, "policy"), values) for key, values in data.items()}


def _document(_: Key, parts: _Shard) -> bytes:
    return packed(parts.rest.document(*parts.members))


def _member(place: tuple[str, str], one: Claim | Token) -> _Member:
    kind, name = place
    written = text(one)
    return _Member(member(name, written), number(kind, name, written))


def _shards(registry: Registry, whole: Policy, members: dict[tuple[str, str], _Member]) -> dict[Key, _Shard]:
    """The policy cut by the hash of each key, so that one change rewrites one shard."""
    keys = names.policies(registry)
    texts: list[tuple[list[str], ...]] = [tuple([] for _ in KINDS) for _ in keys]
    for number_, kind in enumerate(KINDS):
        for name in sorted(getattr(whole, kind)):
            texts[shard(name, len(keys))][number_].append(members[kind, name].text)
    first = whole.model_copy(update={kind: {} for kind in KINDS})
    rests = (first, *(Policy() for _ in keys[1:]))
    return {
        key: _Shard(rest, tuple(map(tuple, lists)))
        for key, rest, lists in zip(keys, rests, texts, strict=True)
    }
