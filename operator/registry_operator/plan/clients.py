"""Who loses and who gains access, by the runtime's own decision on the policy before and after.

Rules are not compared, for two different ones may grant the same: each client is asked about with examples of
every glob that either policy has for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TypeVar

from registry_runtime.auth.decision import decide
from registry_runtime.auth.identity import ANYBODY, Endpoint, Identity
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract import subject
from registry_runtime.contract.policy import Action, Policy, Token
from registry_runtime.contract.subject import KUBERNETES
from registry_runtime.errors import NameInvalid

Named = Callable[[str], str]
T = TypeVar("T")
Rights = dict[tuple[str, str, str, str], set[str]]  # actions by who, glob, example and domain
BOTH = "public and private"


@dataclass(frozen=True, order=True)
class Right:
    """What a client may do: in repositories of this glob, such as `example`, by a domain or both."""

    who: str
    repositories: str
    example: str
    domain: str
    actions: tuple[str, ...]

    @property
    def sentence(self) -> str:
        like = f", such as {self.example}" if self.example != self.repositories else ""
        domain = "" if self.domain == BOTH else f" by the {self.domain} domain"
        return f"{self.who}: {', '.join(self.actions)} in {self.repositories}{like}{domain}"


@dataclass(frozen=True)
class Shift:
    """`limits` are sentences: what else is asked of a client, such as from where it comes."""

    lost: tuple[Right, ...] = ()
    gained: tuple[Right, ...] = ()
    limits: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Client:
    who: str
    identity: Identity
    globs: frozenset[str]


def shift(
    before: Policy, after: Policy, *, now: datetime, named: Named, unread: frozenset[str] = frozenset()
) -> Shift:
    """`named` gives an AccessToken's name by its id; of accounts that are `unread` no password is known."""
    lost: Rights = {}
    gained: Rights = {}
    wide = _from_anywhere(before), _from_anywhere(after)
    names = sorted({*before.namespaces, *after.namespaces})
    for client in _clients(before, after, named):
        for glob in sorted(client.globs):
            for example in examples(glob, names):
                for action in Action:
                    was, will = (_doors(one, client.identity, example, action, now) for one in wide)
                    for doors, into in ((was - will, lost), (will - was, gained)):
                        if doors:
                            domain = BOTH if len(doors) == len(Endpoint) else str(*doors)
                            place = (client.who, glob, str(example), domain)
                            into.setdefault(place, set()).add(str(action))
    limits = tuple(_limits(before, after, named, unread))
    return Shift(_rights(lost), _rights(gained), limits)


def moved(found: Shift, gone: Iterable[str], new: Iterable[str]) -> Shift:
    """The same, where host names come and go: whoever uses one that is gone loses all."""
    every = tuple(sorted(map(str, Action)))
    lost, gained = (
        tuple(
            Right(f"every client of the host name {host}", "**", "**", BOTH, every) for host in sorted(hosts)
        )
        for hosts in (gone, new)
    )
    return Shift((*lost, *found.lost), (*gained, *found.gained), found.limits)


def examples(glob: str, names: Iterable[str]) -> tuple[RepositoryName, ...]:
    """Repositories that the glob matches; its first component names Namespaces, so these are tried there."""
    first, slash, rest = glob.partition("/")
    firsts = [first]
    if "*" in first:
        firsts = [name for name in names if fnmatchcase(name, first)]
        rest, slash = (rest, slash) if slash or "**" not in first else ("**", "/")
    found = []
    for one in firsts:
        for span in ("x", "x/y") if "**" in rest else ("x",):
            text = f"{one}{slash}{rest.replace('**', span).replace('*', 'x')}"
            try:
                found.append(RepositoryName.parse(text))
            except NameInvalid:
                continue
    return tuple(found)


def _doors(
    policy: Policy, identity: Identity, repository: RepositoryName, action: Action, now: datetime
) -> frozenset[Endpoint]:
    """By which domains it may."""
    return frozenset(
        door for door in Endpoint if decide(policy, identity, door, repository, action, now=now).allowed
    )


def _rights(found: Rights) -> tuple[Right, ...]:
    """One example of each is enough, if it tells the same."""
    told: dict[tuple[str, str, str, tuple[str, ...]], Right] = {}
    for (who, glob, example, domain), actions in sorted(found.items()):
        words = tuple(sorted(actions))
        told.setdefault((who, glob, domain, words), Right(who, glob, example, domain, words))
    return tuple(sorted(told.values()))


def _clients(before: Policy, after: Policy, named: Named) -> Iterator[_Client]:
    """Those whom the policies may tell something different."""
    everybody = any(
        getattr(before, part) != getattr(after, part)
        for part in ("private_only", "oidc", "kubernetes", "anonymous")
    )
    names = _differing(before.namespaces, after.namespaces, everybody=everybody)
    tokens = _differing(before.tokens, after.tokens, everybody=everybody)
    claims = [policy.namespaces[name] for policy in (before, after) for name in names & {*policy.namespaces}]
    owners = {claim.owner for claim in claims}
    for policy in (before, after):
        tokens |= {id_ for id_, token in policy.tokens.items() if token.owner in owners}
    subjects = {one for claim in claims for entry in claim.access for one in entry.subjects}
    tokens |= {one.removeprefix("token:") for one in subjects if one.startswith("token:")}
    given = _granted(before, after)
    for id_ in sorted(tokens):
        globs = given.get(subject.token(id_), set()) | _own(id_, before, after)
        yield _Client(named(id_), Identity(id_), frozenset(globs))
    for one in sorted(one for one in subjects if not one.startswith("token:")):
        yield _Client(*_of(one), frozenset(given[one]))
    anonymous = [glob for policy in (before, after) for one in policy.anonymous for glob in one.repositories]
    if anonymous:
        yield _Client("anybody", ANYBODY, frozenset(anonymous))


def _differing(before: Mapping[str, T], after: Mapping[str, T], *, everybody: bool) -> set[str]:
    return {
        name
        for name in {*before, *after}
        if everybody or ((old := before.get(name)) is not (new := after.get(name)) and old != new)
    }


def _of(one: str) -> tuple[str, Identity]:
    """Whoever is known as this subject, and nothing else."""
    kind, _, rest = one.partition(":")
    provider = KUBERNETES if kind == "serviceaccount" else rest.partition(":")[0]
    who = f"ServiceAccount {rest}" if provider == KUBERNETES else f"OIDC {rest}"
    return who, Identity(provider=provider, name=rest, subjects=frozenset({one}))


def _granted(*policies: Policy) -> dict[str, set[str]]:
    """Globs of what Namespaces give, by subject."""
    found: dict[str, set[str]] = {}
    for policy in policies:
        for claim in policy.namespaces.values():
            for entry in claim.access:
                for one in entry.subjects:
                    found.setdefault(one, set()).update(entry.repositories)
    return found


def _own(id_: str, *policies: Policy) -> set[str]:
    """Globs of an AccessToken's own permissions."""
    tokens = (policy.tokens.get(id_) for policy in policies)
    return {glob for token in tokens if token for grant in token.grants for glob in grant.repositories}


def _from_anywhere(policy: Policy) -> Policy:
    """Where clients come from is a limit, and told as one."""
    tokens = {id_: one.model_copy(update={"networks": ()}) for id_, one in policy.tokens.items()}
    return policy.model_copy(update={"tokens": tokens})


def _limits(before: Policy, after: Policy, named: Named, unread: frozenset[str]) -> Iterator[str]:
    for id_ in sorted(before.tokens.keys() & after.tokens.keys()):
        old, new = before.tokens[id_], after.tokens[id_]
        if old is new or old == new:
            continue
        if old.networks != new.networks:
            yield f"{named(id_)}: from {_networks(old)} → from {_networks(new)}"
        if old.not_after != new.not_after:
            yield f"{named(id_)}: ends {old.not_after or 'never'} → {new.not_after or 'never'}"
        if old.uses != new.uses:
            limits = [one.limit if one else "any number of" for one in (old.uses, new.uses)]
            yield f"{named(id_)}: {limits[0]} uses → {limits[1]}"
        if new.account not in unread and old.hashes and not set(old.hashes) & set(new.hashes):
            yield f"{named(id_)}: its password is replaced: whoever has the one of now is refused"


def _networks(token: Token) -> str:
    return ", ".join(token.networks) or "everywhere"
