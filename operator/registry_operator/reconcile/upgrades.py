"""Upgrades: begun one after the other, and written down before a pod changes.

What is in the status is the whole memory: another operator goes on from there.
"""

import logging

from registry_operator import names
from registry_operator.checks import upgrades as checks
from registry_operator.checks.finding import conditions
from registry_operator.desired import fleet
from registry_operator.desired.release import asked, is_known, newest, running
from registry_operator.events import Note
from registry_operator.models import Key, Registry, RegistryStatus, Release
from registry_operator.observed import Turn
from registry_operator.queue import Kind, Work
from registry_operator.reconcile import status
from registry_operator.reconcile.context import Context

log = logging.getLogger(__name__)


async def advance(at: Context, registry: Registry) -> Turn | None:
    """Begins the Registry's upgrade if it is its turn; else what it waits for. Raises ClusterError.

    One at a time: whose turn it is, is found from what those before it have written.
    """
    async with at.beginning:
        registry = at.cache.registries.objects.get(registry.key, registry)  # it may have waited long
        turn = turn_of(at, registry)
        release = running(at.observe_registry(registry), at.settings)
        target = asked(registry, at.settings)
        if turn and turn.begins:
            target = newest(at.settings)
        if target in (None, release) or names.is_paused(registry):
            return turn
        assert target is not None
        if is_known(target):
            await begin(at, registry, release, target)
        return None


def turn_of(at: Context, registry: Registry) -> Turn | None:
    """None where no automatic upgrade waits. Comes back when time alone changes something."""
    if not fleet.waits(registry, at.settings):
        return None
    turn = fleet.turns(at.cache.registries.objects.values(), at.now(), at.settings).get(registry.key)
    if turn and turn.due:
        later(at, registry.key, (turn.due - at.now()).total_seconds())
    return turn


async def begin(at: Context, registry: Registry, before: Release, release: Release) -> None:
    """In the status first: an operator that dies between the two goes on from there."""
    known, now = registry.status, at.now()
    found = conditions([checks.begun(release, before)], known, registry.meta.generation, now)
    rest = tuple(one for one in known.conditions if one.type != fleet.UP_TO_DATE)
    said = {
        "release": str(release),
        "previous_release": str(before),
        "released_at": now.replace(microsecond=0),
        "conditions": (*rest, *found),
    }
    await status.write(at, registry, known.model_copy(update=said))
    at.recorder.record(registry, [Note("Normal", "Upgrading", "Upgrade", f"from {before} to {release}")])
    log.info("upgrade", extra={"registry": str(registry.key), "from": str(before), "to": str(release)})
    later(at, registry.key, at.settings.upgrade_patience)


def tell(at: Context, key: Key, before: RegistryStatus) -> None:
    """Wakes those that wait for their turn, when this one has proven the release, or may have failed."""
    registry = at.cache.registries.objects.get(key)
    if registry is None:
        return
    after, began = registry.status, registry.status.released_at
    if began is not None:
        late = at.settings.upgrade_patience - (at.now() - began).total_seconds()
        if late > 0:
            later(at, key, late)
    if _told(before) == _told(after):
        return
    for other, one in at.cache.registries.objects.items():
        if other != key and fleet.waits(one, at.settings):
            at.queue.add(Work(Kind.REGISTRY, *other))


def later(at: Context, key: Key, seconds: float) -> None:
    at.queue.add_after(Work(Kind.REGISTRY, *key), max(0.05, seconds + 0.05))


def _told(known: RegistryStatus) -> tuple[object, ...]:
    up = known.condition(fleet.UP_TO_DATE)
    return known.release, up and (up.status, up.reason, up.last_transition_time)
