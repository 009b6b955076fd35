"""Registry: children, replicas, status."""

from dataclasses import dataclass
from typing import NamedTuple

from registry_operator import names
from registry_operator.checks import deletion as deleting
from registry_operator.checks import registry as checks
from registry_operator.desired.deletion import Step, step
from registry_operator.desired.registry import render
from registry_operator.desired.rendered import Rendered, identity
from registry_operator.errors import NotPermitted, OperatorError
from registry_operator.models import Key, Registry
from registry_operator.observed import Conflict, Turn
from registry_operator.queue import Kind, Work
from registry_operator.reconcile import deletion, mounts, status, upgrades
from registry_operator.reconcile.access import Access
from registry_operator.reconcile.apply import apply_all, is_in_place, remove
from registry_operator.reconcile.context import Context
from registry_operator.reconcile.sweep import PERIOD
from registry_operator.relations import references

AUTOSCALER = "HorizontalPodAutoscaler"
LAST = frozenset({"RoleBinding", "Deployment", AUTOSCALER})
CONFLICT_LOOK = 15.0  # seconds; what is not ours is not watched: nobody tells when it goes, or lets us in


@dataclass(frozen=True)
class Outcome:
    """What came of the applies: see RegistryObserved."""

    conflicts: list[Conflict]
    denied: set[str]
    held: tuple[str, ...] | None
    turn: Turn | None


async def reconcile(at: Context, access: Access, key: Key) -> None:
    """Raises ClusterError and RenderFailed."""
    registry = at.cache.registries.objects.get(key)
    next_step = step(at.observe_registry(registry)) if registry else Step.NONE
    if registry and next_step is Step.RELEASE:
        await deletion.release(at, at.observe_registry(registry))
        registry = at.cache.registries.objects.get(key)
    going = registry is None or (registry.meta.deleting and next_step is not Step.EMPTY)
    if registry is None or going or not at.is_open(key.namespace):
        at.replicas.follow(key, "", None, ())  # its children are the garbage collector's
        at.mounted.pop(key, None)
        upgrades.tell(at, key)
        return
    if not access.is_known(key):
        return  # `consent` brings it back when the last namespace has answered
    await at.look(key.namespace, references(registry))
    if next_step is Step.EMPTY:
        await empty(at, registry)
        return
    if next_step is Step.HOLD:  # before the first replica, and so before anything lies in the bucket
        await deletion.hold(at, registry)
    written = await access.written(key)
    if written is None:
        return
    turn = await upgrades.advance(at, registry)
    registry = at.cache.registries.objects.get(key, registry)
    rendered = render(at.observe_registry(registry), at.settings, written.draft)
    applied, held = Applied([], set()), None
    if names.is_paused(registry):
        held = waiting(at, registry, rendered)
    else:
        applied = await apply_children(at, registry, rendered)
    conflicts = written.conflicts + applied.conflicts
    await mounts.refresh(at, registry)
    at.replicas.follow(key, names.state_server(registry), at.client_secret(registry), at.endpoints(registry))
    await judge(at, key, rendered, Outcome(conflicts, applied.denied, held, turn))
    if rendered.turns and (rest := (rendered.turns - at.now()).total_seconds()) < PERIOD:
        at.queue.add_after(Work(Kind.REGISTRY, *key), max(rest, 0.05))  # later ones the sweep finds
    if conflicts or applied.denied:
        at.queue.add_after(Work(Kind.REGISTRY, *key), CONFLICT_LOOK)


async def empty(at: Context, registry: Registry) -> None:
    """The replicas end, a pod in their place deletes the content. Raises ClusterError and RenderFailed."""
    try:
        applied = await apply_children(at, registry, render(at.observe_registry(registry), at.settings))
    except OperatorError as error:
        error.message = f"{error.message}; {deleting.way_out(registry)}"
        raise
    await mounts.refresh(at, registry)
    at.replicas.follow(
        registry.key, names.state_server(registry), at.client_secret(registry), at.endpoints(registry)
    )
    current = at.cache.registries.objects.get(registry.key)
    if current is not None:
        await status.write(
            at, current, deleting.judge(at.observe_registry(current, applied.conflicts), at.settings)
        )
    if applied.conflicts:
        at.queue.add_after(Work(Kind.REGISTRY, *registry.key), CONFLICT_LOOK)


def waiting(at: Context, registry: Registry, rendered: Rendered) -> tuple[str, ...]:
    """Children of a paused Registry that are not as they should be; its access goes on."""
    access = {identity(child) for child in rendered.draft.children}
    children = [child for child in rendered.children if identity(child) not in access]
    return tuple(_name(*identity(child)) for child in children if not is_in_place(at, registry, child))


def _name(kind: str, key: Key) -> str:
    return f"{kind} {key.name}"


class Applied(NamedTuple):
    """What was not: `denied` are kinds that need a consent of their own, and had none."""

    conflicts: list[Conflict]
    denied: set[str]


async def apply_children(at: Context, registry: Registry, rendered: Rendered) -> Applied:
    """What others need first: pods never wait for what they mount, a RoleBinding needs its Role."""
    written = {("ConfigMap", names.claims(registry)), *(("Secret", key) for key in names.policies(registry))}
    children = [child for child in rendered.children if identity(child) not in written]
    extra = [child for child in children if child["kind"] in names.CONSENT]
    children = [child for child in children if child not in extra]
    conflicts, denied = [], set()
    if (AUTOSCALER, registry.key) in rendered.unwanted:  # before `replicas` is ours again, or it would go on
        await remove(at, AUTOSCALER, registry.key, registry)
    for last in (False, True):
        phase = [child for child in children if (child["kind"] in LAST) is last]
        conflicts += await apply_all(at, registry, phase)
    for child in extra:  # a namespace that does not let these in has all the rest
        try:
            conflicts += await apply_all(at, registry, [child])
        except NotPermitted as error:
            if not error.namespace:
                raise
            denied.add(str(child["kind"]))
    for kind, key in rendered.unwanted:
        await remove(at, kind, key, registry)
    return Applied(conflicts, denied)


async def judge(at: Context, key: Key, rendered: Rendered, outcome: Outcome) -> None:
    """By what is known after the applies."""
    registry = at.cache.registries.objects.get(key)
    if registry is None:
        return
    observed = at.observe_registry(registry, outcome.conflicts, outcome.held, outcome.turn, outcome.denied)
    for work in at.cache.see_propagation(key, checks.propagation(observed, rendered)):
        at.queue.add(work)
    found = checks.judge(observed, rendered, at.settings)
    ready = found.condition("Ready")
    if ready is None or ready.status != "True":
        at.replicas.attend(key)
    await status.write(at, registry, found)
    upgrades.tell(at, key)
