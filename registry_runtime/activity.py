"""What this replica remembers of who used it: for the operator, and in bounded memory.

A request costs one entry of a set; once a second that becomes times. Refusals are kept by who was refused:
of each AccessToken, and of each Namespace that somebody without one asked for, the latest kinds only. So who
asks for a million names, or with a million identities, pushes out nobody but itself and its like.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from registry_runtime.auth.decision import Reason
from registry_runtime.contract.activity import Activity, Refusal
from registry_runtime.contract.policy import Action, Policy

PAGE = 1500  # entries of one answer: less than 1 MiB, however long the names are
PARTIES = 256  # AccessTokens, and as many Namespaces, whose refusals are remembered
KINDS = 8  # of each
_ORDER = re.compile(r"[0-9]{1,20}")
_PASSING = frozenset({Reason.BEARER_EXPIRED, Reason.SCOPE_MISSING, Reason.PROVIDER_UNKNOWN})
_GRANTED = frozenset({Reason.GRANTED, Reason.ANYBODY})  # and then refused for what is no matter of rights


class Refused(NamedTuple):
    """A kind of refusal, as in `contract.activity.Refusal`."""

    token: str | None
    provider: str
    namespace: str
    repository: str
    action: Action | None
    reason: str
    endpoint: str


class _Mark(NamedTuple):
    """A number (a second of Unix, or uses), and where it stands in the order of changes."""

    order: int
    value: int


class _Times(NamedTuple):
    """How often something was refused, and when last; `order` as above."""

    order: int
    often: int
    last: int


class ActivityBoard:
    """`spent` gives how many uses of a token are taken, by its id, as far as this replica knows."""

    def __init__(
        self,
        policy: Callable[[], Policy],
        spent: Callable[[], Mapping[str, int]] = dict,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._policy = policy
        self._known = spent
        self._clock = clock
        self._epoch = secrets.token_hex(8)
        self._second = 0
        self._order = 0
        self._lately: set[str] = set()
        self._used: dict[str, _Mark] = {}
        self._spent: dict[str, _Mark] = {}
        self._of_tokens = _Refusals()
        self._of_namespaces = _Refusals()

    def use(self, who: str) -> None:
        """Somebody was let in; of those who are no AccessToken nothing is kept."""
        self._lately.add(who)

    def refuse(self, refused: Refused) -> None:
        """Counted, unless a client gets over it by itself, or nobody could be told.

        Who has an AccessToken may have mistyped a Namespace; what others write is not kept.
        """
        policy = self._policy()
        token = refused.token if refused.token in policy.tokens else None
        bound = refused.namespace in policy.namespaces
        if refused.reason in _PASSING | _GRANTED or not (token or bound):
            return
        kept = refused._replace(token=token, namespace=refused.namespace if bound else "")
        table, party = (self._of_namespaces, kept.namespace) if token is None else (self._of_tokens, token)
        table.add(party, kept, self._next(), self._second)

    async def run(self) -> None:
        """It never ends."""
        while True:
            self.fold()
            await asyncio.sleep(1)

    def fold(self) -> None:
        """Once a second: who used it since the last time did so now."""
        self._second = max(self._second, int(self._clock()))
        lately, self._lately = self._lately, set()
        tokens = self._policy().tokens
        for token in lately & tokens.keys():
            self._used[token] = _Mark(self._next(), self._second)
        if len(self._used) > len(tokens):
            self._used = {token: mark for token, mark in self._used.items() if token in tokens}

    def changes(self, after: str | None) -> Activity:
        """What changed since the answer with this cursor, the oldest change first."""
        self.fold()
        self._look_at_uses()
        epoch, _, told = (after or "").partition(".")
        since = int(told) if epoch == self._epoch and _ORDER.fullmatch(told) else 0
        since = since if since <= self._order else 0
        refusals = [*self._of_tokens, *self._of_namespaces]
        marks = [*self._used.values(), *self._spent.values(), *(times for _, times in refusals)]
        new = sorted(mark.order for mark in marks if mark.order > since)
        page = frozenset(new[:PAGE])
        return Activity(
            epoch=self._epoch,
            cursor=f"{self._epoch}.{max(page, default=since)}",
            more=len(page) < len(new),
            used={token: mark.value for token, mark in self._used.items() if mark.order in page},
            spent={token: mark.value for token, mark in self._spent.items() if mark.order in page},
            refusals=tuple(_refusal(*entry) for entry in refusals if entry[1].order in page),
        )

    def _look_at_uses(self) -> None:
        tokens, before = self._policy().tokens, self._spent
        known = {id_: spent for id_, spent in self._known().items() if id_ in tokens}
        self._spent = {
            id_: before[id_] if id_ in before and before[id_].value == spent else _Mark(self._next(), spent)
            for id_, spent in known.items()
        }

    def _next(self) -> int:
        self._order += 1
        return self._order


class _Refusals:
    """By party, the latest of each; who was refused longest ago goes first."""

    def __init__(self) -> None:
        self._parties: OrderedDict[str, OrderedDict[Refused, _Times]] = OrderedDict()

    def __iter__(self) -> Iterator[tuple[Refused, _Times]]:
        for kinds in self._parties.values():
            yield from kinds.items()

    def add(self, party: str, refused: Refused, order: int, second: int) -> None:
        kinds = self._parties.setdefault(party, OrderedDict())
        before = kinds.get(refused)
        kinds[refused] = _Times(order, 1 if before is None else before.often + 1, second)
        kinds.move_to_end(refused)
        self._parties.move_to_end(party)
        if len(kinds) > KINDS:
            kinds.popitem(last=False)
        if len(self._parties) > PARTIES:
            self._parties.popitem(last=False)


def _refusal(refused: Refused, times: _Times) -> Refusal:
    return Refusal(**refused._asdict(), count=times.often, last=times.last)
