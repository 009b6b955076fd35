"""Rotated: whether the password is as young as spec.rotation wants, and the one of before goes in time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from registry_operator.checks.finding import Finding, no, yes
from registry_operator.checks.sentences import listed
from registry_operator.desired import rotation
from registry_operator.desired.access_token import awaited, carriers, holders, moment

if TYPE_CHECKING:
    from registry_operator.desired.rotation import Moment, Passwords
    from registry_operator.observed import TokenObserved

TYPE = "Rotated"
LATE = timedelta(minutes=1)  # after it was due, a password that no replica refuses is given out


class Times(NamedTuple):
    """Of the status; None where there is no password, or no next one is wanted."""

    rotated_at: datetime | None = None
    rotates_at: datetime | None = None


def times(observed: TokenObserved) -> Times:
    found, at = _now(observed)
    if found is None:
        return Times()
    return Times(found.since, found.since + at.every if at.every is not None else None)


def due(observed: TokenObserved) -> datetime | None:
    """When time alone changes what is to be done, or to be said."""
    found, at = _now(observed)
    if found is None:
        return None
    late = _late(found, at)
    moments = [rotation.due(found, at), late if late is not None and late > at.now else None]
    return min((one for one in moments if one is not None), default=None)


def check(observed: TokenObserved) -> Finding | None:
    """None where nothing rotates."""
    found, at = _now(observed)
    asked = observed.token.spec.rotation
    if found is None or (asked is None and found.previous is None):
        return None
    begins = rotation.begins(found, at)
    if not at.delivered and (found.previous or (begins is not None and begins <= at.now)):
        behind = set(holders(observed, found)) - set(carriers(observed, found.current))
        keeps = "the one of before stays valid" if found.previous else "no next one is made"
        who = listed(key.namespace for key in behind)
        return no(TYPE, "TargetsBehind", f"{keeps} until {who} has the password of now, or is no target")
    late = _late(found, at)
    if late is not None and late <= at.now and found.next is not None:
        where = listed(map(str, awaited(observed, found.next)))
        return no(TYPE, "RotationLate", f"the next password waits until every replica of {where} takes it")
    if asked is not None and at.every is None:
        return yes(TYPE, "NotRotating", "a token that is suspended or has ended keeps its password")
    every = f"a new password every {asked.every}" if asked is not None else "no new password any more"
    return yes(TYPE, "InTime", every)


def _now(observed: TokenObserved) -> tuple[Passwords | None, Moment]:
    token = observed.token
    found = rotation.read(token, observed.secrets.get(token.secret))
    return found, moment(observed, found) if found is not None else rotation.Moment(observed.now)


def _late(found: Passwords, at: Moment) -> datetime | None:
    """When a password that is not given out is late."""
    return found.since + at.every + LATE if at.every is not None and found.next is not None else None
