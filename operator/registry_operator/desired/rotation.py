"""The passwords of an AccessToken from one to the next: what its Secret remembers, and the step that is due.

    begin     a next password is made, and its hash goes into the policy of every Registry
    give out  every replica takes it: it becomes the password, in this Secret and in the pull Secrets
    deliver   every target that had the password of before carries it: the end of that one is set
    end       that is over: its hash leaves the policies

Each step is one write of the token's Secret, and everything that it needs is read from there or measured: an
operator that dies between two of them is gone on from. A password is in force before anybody is given it,
and stays so until nobody can still hold it (docs/decisions/0027-two-passwords.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, Field, ValidationError

from registry_operator.observed import Absence, SecretData
from registry_runtime.contract.config import Frozen
from registry_runtime.contract.credential import Password, token_id

if TYPE_CHECKING:
    from registry_operator.models import AccessToken

PASSWORD, MEMORY = "password", "rotation.json"  # keys of the Secret
HASH = r"^[0-9a-f]{64}$"
EARLY = timedelta(
    minutes=2
)  # a policy's mounted copy is as late: it too has the next password when it is due
SKEW = timedelta(minutes=1)  # that the clocks of two operators may differ
UNSET_OVERLAP = timedelta(hours=1)  # of a rotation that was taken away, as of one that says nothing


@dataclass(frozen=True)
class Passwords:
    """`current` is given out since `since`; `next` to nobody yet; `previous` (SHA-256) is good until `until`.

    `until` is None while some target may still hold the previous one. `given` are the Kubernetes namespaces
    that got a pull Secret, be it only that it was about to be written: nobody else holds a password.
    """

    current: Password
    since: datetime
    next: Password | None = None
    previous: str | None = field(default=None, repr=False)
    until: datetime | None = None
    given: tuple[str, ...] = ()

    @cached_property
    def hashes(self) -> tuple[str, ...]:
        """Of all that are valid, in an order that says nothing: giving one out changes no policy."""
        known = (self.current.sha256, self.next and self.next.sha256, self.previous)
        return tuple(sorted({one for one in known if one}))

    def encode(self) -> bytes:
        """The document of the Secret's key `MEMORY`."""
        return (
            _Memory(
                current=self.current.sha256,
                since=self.since,
                next=self.next.text if self.next else None,
                previous=self.previous,
                until=self.until,
                given=self.given,
            )
            .model_dump_json(exclude_defaults=True)
            .encode()
        )


def read(token: AccessToken, secret: SecretData | Absence) -> Passwords | None:
    """None where the Secret is not this token's own, or holds no password that was made for it.

    A Secret that somebody else made, copied from another token, or wrote another password into, never
    becomes a way in. One without a memory is of a version that did not rotate.
    """
    if isinstance(secret, Absence) or secret.deleting or token.meta.uid not in secret.owners:
        return None
    values = (secret.values.get(PASSWORD, b""), secret.values.get(MEMORY, b""))
    return _read(token_id(token.meta.uid), token.meta.created, *values)


def spoiled(token: AccessToken, secret: SecretData) -> tuple[tuple[str, str], ...]:
    """Fields by which another hand took the password out of the token's Secret: `read` does not take them."""
    if read(token, secret) is not None:
        return ()
    if token.meta.uid not in secret.owners:
        return (("metadata", "ownerReferences"),)
    text = secret.values.get(PASSWORD, b"").decode(errors="replace")
    known = _password(token_id(token.meta.uid), text)
    return (("data", PASSWORD), ("data", MEMORY)) if known else (("data", PASSWORD),)


@dataclass(frozen=True)
class Moment:
    """What a step is decided by.

    `every` is None where no new password is wanted. `in_force`: every replica that serves of every Registry
    takes the next one. `delivered`: every target that was given a password carries the current one.
    """

    now: datetime
    every: timedelta | None = None
    overlap: timedelta = UNSET_OVERLAP
    in_force: bool = False
    delivered: bool = False

    @property
    def lasts(self) -> timedelta:
        """How long the previous password stays good: longer than asked for by what clocks may differ."""
        overlap = self.overlap if self.every is None else min(self.overlap, self.every)
        return overlap + min(overlap, SKEW)


def step(before: Passwords, at: Moment, make: Callable[[], Password]) -> Passwords:
    """What the Secret should hold now; the same where nothing is due."""
    found = _ended(_in_time(before, at), at)
    if at.every is None:
        return replace(found, next=None)  # nobody was given it
    if found.next is None:
        begin = begins(found, at)
        due_now = begin is not None and begin <= at.now and at.delivered
        return replace(found, next=make()) if due_now else found
    if at.in_force and at.delivered and found.since + at.every <= at.now:
        return Passwords(found.next, at.now, previous=found.current.sha256, given=found.given)
    return found


def due(found: Passwords, at: Moment) -> datetime | None:
    """When time alone changes something; what waits for something else is no matter of time."""
    if step(found, at, lambda: found.current) != found:
        return at.now
    given_out = found.since + at.every if at.every is not None and found.next is not None else None
    moments = (found.until, begins(found, at), given_out)
    return min((moment for moment in moments if moment is not None and moment > at.now), default=None)


def begins(found: Passwords, at: Moment) -> datetime | None:
    """When the next password is made, if every target carries the one of now; None: not before it changes."""
    if at.every is None or found.next is not None or found.previous is not None:
        return None
    return found.since + at.every - min(EARLY, at.every / 10)


def _in_time(found: Passwords, at: Moment) -> Passwords:
    """Times that another clock wrote, or other settings: nothing began in the future, or lasts longer."""
    until = found.until
    if until is not None and at.every is not None:
        until = min(until, at.now + at.lasts)
    return replace(found, since=min(found.since, at.now), until=until)


def _ended(found: Passwords, at: Moment) -> Passwords:
    """Without the password of before, where it is over; it is not while some target may hold it."""
    if found.previous is None or not at.delivered:
        return found
    if found.until is None:
        return replace(found, until=at.now + at.lasts)
    return replace(found, previous=None, until=None) if found.until <= at.now else found


class _Memory(Frozen):
    """What stands in the Secret beside the password, of which `current` is the hash."""

    current: str = Field(pattern=HASH)
    since: AwareDatetime
    next: str | None = Field(default=None, repr=False)
    previous: str | None = Field(default=None, pattern=HASH, repr=False)
    until: AwareDatetime | None = None
    given: tuple[str, ...] = ()


@lru_cache(maxsize=1 << 9)
def _read(id_: str, created: datetime, password: bytes, memory: bytes) -> Passwords | None:
    """What a Secret holds: one reconcile asks some times."""
    found = _password(id_, password.decode(errors="replace"))
    if found is None:
        return None
    try:
        known = _Memory.model_validate_json(memory)
    except ValidationError:
        return Passwords(found, created)
    if known.current != found.sha256:
        return None
    following = _password(id_, known.next or "")
    return Passwords(found, known.since, following, known.previous, known.until, known.given)


def _password(id_: str, text: str) -> Password | None:
    """The password, if it is one of this id."""
    try:
        found = Password.parse(text)
    except ValueError:
        return None
    return found if found.id == id_ else None
