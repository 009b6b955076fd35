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
from registry_operator.models import Key, Registry, Release
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
        at.fleet.meet(registry, at.settings)
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
    turn = at.fleet.waits(registry, at.now()) or look(at).get(registry.key)
    if turn and turn.due:
        later(at, registry.key, (turn.due - at.now()).total_seconds())
    return turn


def look(at: Context) -> dict[Key, Turn]:
    """Of all that wait, by what is known now."""
    return at.fleet.look(at.cache.registries.objects.values(), at.now(), at.settings)


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


def tell(at: Context, key: Key) -> None:
    """Wakes those whose turn it is, and those that are to say something else, when this one changed or went.

    Not all that wait: of a thousand each would look at all of them again.
    """
    registry = at.cache.registries.objects.get(key)
    began = registry.status.released_at if registry else None
    if began is not None:
        late = at.settings.upgrade_patience - (at.now() - began).total_seconds()
        if late > 0:
            later(at, key, late)
    if not at.fleet.changed(key, registry, at.settings):
        return
    for other, turn in look(at).items():
        up = at.cache.registries.objects[other].status.condition(fleet.UP_TO_DATE)
        if turn.begins or up is None or up.reason != turn.reason:
            at.queue.add(Work(Kind.REGISTRY, *other))
        elif turn.due:
            later(at, other, (turn.due - at.now()).total_seconds())


def later(at: Context, key: Key, seconds: float) -> None:
    at.queue.add_after(Work(Kind.REGISTRY, *key), max(0.05, seconds + 0.05))
