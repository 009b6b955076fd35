"""Where to look for what an identity may list, so that nobody walks past what it may not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from registry_runtime.auth.decision import Reason, standing, subjects_of
from registry_runtime.auth.identity import Identity
from registry_runtime.content.name import NameRange
from registry_runtime.contract.policy import Action, Grant, Policy


def sight(policy: Policy, identity: Identity, *, now: datetime) -> tuple[NameRange, ...]:
    """Ranges that hold each repository which `decide` lets the identity list, and possibly others.

    A glob gives the range of its beginning, up to the first star. They may overlap, in any order.
    """
    if standing(policy, identity, now) not in {Reason.GRANTED, Reason.ANYBODY}:
        return ()
    ranges = [_range(glob) for glob in _listing(policy.anonymous)]
    mine = subjects_of(identity)
    for name, claim in policy.namespaces.items():
        for one in claim.access:
            if not mine.isdisjoint(one.subjects):
                ranges += [found for glob in _listing([one]) for found in _within(glob, [name])]
    if identity.token is not None:
        token = policy.tokens[identity.token]
        own = [name for name, claim in policy.namespaces.items() if claim.owner == token.owner]
        for glob in _listing(token.grants):
            ranges += _within(glob, own)
    return tuple(ranges)


def _listing(grants: Iterable[Grant]) -> list[str]:
    return [glob for grant in grants if Action.LIST in grant.actions for glob in grant.repositories]


def _range(glob: str) -> NameRange:
    literal, star, _ = glob.partition("*")
    return NameRange.below(literal) if star else NameRange(literal, literal)


def _within(glob: str, namespaces: Sequence[str]) -> list[NameRange]:
    """The part of the glob's range that lies in these namespaces."""
    literal, star, _ = glob.partition("*")
    namespace, slash, _ = literal.partition("/")
    if slash or not star:
        return [_range(glob)] if namespace in namespaces else []
    return [NameRange(name, f"{name}/{NameRange.END}") for name in namespaces if name.startswith(literal)]
