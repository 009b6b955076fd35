"""Registry: children, replicas, status."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

from registry_operator import names
from registry_operator.checks import deletion as deleting
from registry_operator.checks import registry as checks
from registry_operator.desired.deletion import Step, step
from registry_operator.desired.registry import render
from registry_operator.desired.rendered import Rendered, identity
from registry_operator.errors import NotPermitted, OperatorError
from registry_operator.models import Key, Registry
from registry_operator.observed import Conflict, Propagation, RegistryObserved, Turn
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
    left: set[str]
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
    paused = names.is_paused(registry)
    left = set() if paused else await take_back(at, registry)
    rendered = render(at.observe_registry(registry, left=left), at.settings, written.draft)
    try:
        applied = Applied([], set(), set()) if paused else await apply_children(at, registry, rendered)
        await mounts.refresh(at, registry)
    except OperatorError:  # whatever cannot be written: tokens are judged by what the replicas say
        follow(at, registry)
        propagate(at, at.observe_registry(registry), rendered)
        raise
    held = waiting(at, registry, rendered) if paused else None
    left |= applied.left
    conflicts = written.conflicts + applied.conflicts
    follow(at, registry)
    await judge(at, key, rendered, Outcome(conflicts, applied.denied, left, held, turn))
    if rendered.turns and (rest := (rendered.turns - at.now()).total_seconds()) < PERIOD:
        at.queue.add_after(Work(Kind.REGISTRY, *key), max(rest, 0.05))  # later ones the sweep finds
    if conflicts or applied.denied or left:
        at.queue.add_after(Work(Kind.REGISTRY, *key), CONFLICT_LOOK)


async def empty(at: Context, registry: Registry) -> None:
    """The replicas end, a pod in their place deletes the content. Raises ClusterError and RenderFailed."""
    try:
        applied = await apply_children(at, registry, render(at.observe_registry(registry), at.settings))
    except OperatorError as error:
        error.message = f"{error.message}; {deleting.way_out(registry)}"
        raise
    await mounts.refresh(at, registry)
    follow(at, registry)
    current = at.cache.registries.objects.get(registry.key)
    if current is not None:
        await status.write(
            at, current, deleting.judge(at.observe_registry(current, applied.conflicts), at.settings)
        )
    if applied.conflicts:
        at.queue.add_after(Work(Kind.REGISTRY, *registry.key), CONFLICT_LOOK)


def follow(at: Context, registry: Registry) -> None:
    """From now on the replicas that are there now are asked for their states."""
    server, secret = names.state_server(registry), at.client_secret(registry)
    at.replicas.follow(registry.key, server, secret, at.endpoints(registry))


def waiting(at: Context, registry: Registry, rendered: Rendered) -> tuple[str, ...]:
    """Children of a paused Registry that are not as they should be; its access goes on."""
    access = {identity(child) for child in rendered.draft.children}
    children = [child for child in rendered.children if identity(child) not in access]
    return tuple(_name(*identity(child)) for child in children if not is_in_place(at, registry, child))


def _name(kind: str, key: Key) -> str:
    return f"{kind} {key.name}"


class Applied(NamedTuple):
    """What was not: `denied`, and `left` where they were to go, are kinds whose own consent was not there."""

    conflicts: list[Conflict]
    denied: set[str]
    left: set[str]


async def take_back(at: Context, registry: Registry) -> set[str]:
    """The Certificate of an earlier spec, before anything is in its Secret that cert-manager did not write.

    Returns its kind where it is left.
    """
    left: set[str] = set()
    if registry.spec.tls.issuer_ref is None:
        with by_consent("Certificate", left):
            await remove(at, "Certificate", names.tls(registry), registry)
    return left


@contextmanager
def by_consent(kind: str, without: set[str]) -> Iterator[None]:
    """A Kubernetes namespace that does not let this kind be written has all the rest."""
    try:
        yield
    except NotPermitted as error:
        if kind not in names.CONSENT or not error.namespace:
            raise
        without.add(kind)


async def apply_children(at: Context, registry: Registry, rendered: Rendered) -> Applied:
    """What others need first: pods never wait for what they mount, a RoleBinding needs its Role."""
    written = {("ConfigMap", names.claims(registry)), *(("Secret", key) for key in names.policies(registry))}
    children = [child for child in rendered.children if identity(child) not in written]
    extra = [child for child in children if child["kind"] in names.CONSENT]
    children = [child for child in children if child not in extra]
    applied = Applied([], set(), set())
    if (AUTOSCALER, registry.key) in rendered.unwanted:  # before `replicas` is ours again, or it would go on
        await remove(at, AUTOSCALER, registry.key, registry)
    for last in (False, True):
        phase = [child for child in children if (child["kind"] in LAST) is last]
        applied.conflicts.extend(await apply_all(at, registry, phase))
    for child in extra:
        with by_consent(child["kind"], applied.denied):
            applied.conflicts.extend(await apply_all(at, registry, [child]))
    for kind, key in rendered.unwanted:
        with by_consent(kind, applied.left):
            await remove(at, kind, key, registry)
    return applied


def propagate(at: Context, observed: RegistryObserved, rendered: Rendered) -> Propagation:
    """How far the policy has come; its Namespaces and AccessTokens are judged by it."""
    key = observed.registry.key
    first = key not in at.cache.propagations
    found = checks.propagation(observed, rendered)
    for work in at.cache.see_propagation(key, found):
        at.queue.add(work, patient=first)
    return found


async def judge(at: Context, key: Key, rendered: Rendered, outcome: Outcome) -> None:
    """By what is known after the applies."""
    registry = at.cache.registries.objects.get(key)
    if registry is None:
        return
    seen = at.observe_registry(registry, outcome.conflicts, outcome.left)
    observed = replace(seen, denied=frozenset(outcome.denied), held=outcome.held, turn=outcome.turn)
    propagation = propagate(at, observed, rendered)
    found = checks.judge(observed, rendered, at.settings)
    ready = found.condition("Ready")
    if ready is None or ready.status != "True" or propagation.behind:
        at.replicas.attend(key)
    await status.write(at, registry, found)
    upgrades.tell(at, key)
