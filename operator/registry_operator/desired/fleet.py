"""Automatic upgrades of all Registries of a cluster: whose turn it is. Pure: a fleet and a moment in.

One goes first. When it was Ready in the new release for the soak time the next one begins, then two, and so
on: never more are unproven at a time than have proven the release, nor than the share of the fleet that the
installation allows. One that is not Ready in time halts all others that have not begun.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from registry_operator import names
from registry_operator.desired.release import newest
from registry_operator.models import Key, Release
from registry_operator.models.base import format_time
from registry_operator.observed import HALTED, Turn

if TYPE_CHECKING:
    from registry_operator.models import Registry, Upgrades
    from registry_operator.settings import Settings

UP_TO_DATE = "UpToDate"


@dataclass(frozen=True)
class Member:
    """One Registry of the fleet. `began` is its last upgrade; `arrived`, since when it is up to date."""

    key: Key
    uid: str
    release: Release | None
    previous: Release | None
    began: datetime | None
    arrived: datetime | None
    ready: bool
    paused: bool
    asked: bool  # by the annotation: it decides for itself
    upgrades: Upgrades

    @property
    def automatic(self) -> bool:
        return self.upgrades.policy == "Automatic" and not self.asked and not self.paused

    def may_go_to(self, release: Release) -> bool:
        """Whether it is to go there by itself: never back to where it was before."""
        return self.release is not None and release not in (self.release, self.previous)


@dataclass(frozen=True)
class Progress:
    """How far the fleet is with a release."""

    failed: tuple[Key, ...]
    unproven: int  # begun by themselves, and not Ready for the soak time yet
    proven: int
    due: datetime | None  # when the next one has proven itself, or failed, by the clock alone


def member(registry: Registry) -> Member:
    """As its status and its annotations say."""
    meta, status = registry.meta, registry.status
    up, ready = status.condition(UP_TO_DATE), status.condition("Ready")
    return Member(
        key=registry.key,
        uid=meta.uid,
        release=Release.parse(status.release),
        previous=Release.parse(status.previous_release),
        began=status.released_at,
        arrived=up.last_transition_time if up and up.status == "True" else None,
        ready=ready is not None and ready.status == "True" and ready.observed_generation == meta.generation,
        paused=names.is_paused(registry),
        asked=names.UPGRADE_TO in meta.annotations,
        upgrades=registry.spec.upgrades,
    )


def waits(registry: Registry, settings: Settings) -> bool:
    """Whether the turn of this one is to be found out."""
    one = member(registry)
    return one.automatic and one.may_go_to(newest(settings)) and not registry.meta.deleting


def part(registry: Registry, settings: Settings) -> object:
    """What of it decides whose turn it is, its own or another's."""
    one, target = member(registry), newest(settings)
    up = registry.status.condition(UP_TO_DATE)
    begun = one.release == target and one.began is not None
    waiting = one.automatic and one.may_go_to(target)
    said = (up and up.reason) if begun else one.ready if waiting else None
    return one.release, one.began, one.arrived, one.automatic, one.upgrades, said


def turns(registries: Iterable[Registry], now: datetime, settings: Settings) -> dict[Key, Turn]:
    """Of each that waits for its automatic upgrade: whether it begins now, or why not and until when."""
    there = [one for one in registries if not one.meta.deleting]
    fleet, target = [member(one) for one in there], newest(settings)
    progress = measure(fleet, target, now, settings)
    waiting = sorted(
        (one for one in fleet if one.automatic and one.may_go_to(target)), key=lambda one: rank(one, target)
    )
    room = limit(len(fleet), progress.proven, settings) - progress.unproven
    following = limit(len(fleet), progress.proven + progress.unproven, settings)
    found: dict[Key, Turn] = {}
    for one in waiting:
        found[one.key] = made = turn(one, progress, room, now)
        if made.due == progress.due and (following := following - 1) < 0:
            found[one.key] = replace(made, due=None)  # it is woken by those before it
        room -= made.begins
    return found


def turn(one: Member, progress: Progress, room: int, now: datetime) -> Turn:
    """Of one that waits, while so many more may begin."""
    if progress.failed:
        named = ", ".join(map(str, progress.failed[:3]))
        why = f"Registry {named} was upgraded and is not Ready: mend it, pause it, or take it back"
        return Turn(reason=HALTED, message=why)
    if not one.ready:
        return Turn(message="waits until this Registry is Ready, to be upgraded")
    if not one.upgrades.may_begin(now):
        opens = one.upgrades.opens(now)
        at = format_time(opens) if opens else "never"
        return Turn(message=f"waits for its window, which opens at {at}", due=opens)
    if room < 1:
        why = "waits for its turn: those before it are to be Ready in the new release for a while first"
        return Turn(message=why, due=progress.due)
    return Turn(begins=True)


def measure(fleet: Iterable[Member], target: Release, now: datetime, settings: Settings) -> Progress:
    """Only what was upgraded to the release counts: one that was made with it proves nothing.

    What was upgraded by hand may prove it as well; it takes no place, and its failure halts nobody.
    """
    soak, patience = timedelta(seconds=settings.upgrade_soak), timedelta(seconds=settings.upgrade_patience)
    failed, unproven, proven, ends = [], 0, 0, []
    for one in fleet:
        if one.release != target or one.began is None:
            continue
        end = one.arrived + soak if one.arrived else one.began + patience
        if one.arrived and end <= now:
            proven += 1
        elif not one.automatic:
            continue
        elif end <= now:
            failed.append(one.key)
        else:
            unproven += 1
            ends.append(end)
    return Progress(tuple(sorted(failed)), unproven, proven, min(ends, default=None))


def limit(fleet: int, proven: int, settings: Settings) -> int:
    """How many may be unproven at a time: one, two, four … up to the share."""
    return max(1, min(proven, fleet * settings.upgrade_percent // 100))


def rank(one: Member, target: Release) -> str:
    """The order: another one for each release, so that it is not always the same tenant who goes first."""
    return hashlib.sha256(f"{target} {one.uid}".encode()).hexdigest()
