"""All of a plan: what there is, the change, every reconcile that it means, and what is different then."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from registry_operator import names
from registry_operator.cluster import Credentials
from registry_operator.cluster.resources import (
    CONFIG_MAPS,
    KNOWN,
    REGISTRIES,
    SECRETS,
)
from registry_operator.desired.draft import draft
from registry_operator.desired.exposure import kinds_of
from registry_operator.desired.policy import in_force
from registry_operator.models import AccessToken, Key, Registry
from registry_operator.observed import SecretData
from registry_operator.plan import clients
from registry_operator.plan.changes import Change, Roll, change, roll
from registry_operator.plan.consents import Consents
from registry_operator.plan.edits import DryRuns
from registry_operator.plan.intent import Asked, Intent
from registry_operator.plan.manifests import OURS
from registry_operator.plan.outcome import CERTAIN, NOT_PERMITTED, OF_SECRETS, Foreseen, Plan, Refusal
from registry_operator.plan.primed import Primed
from registry_operator.plan.rehearsal import Rehearsal, Write
from registry_operator.queue import Kind, Work
from registry_operator.settings import Settings
from registry_runtime.contract.credential import token_id
from registry_runtime.contract.policy import Policy

PROGRESS = frozenset({"Reconciling", "Stalled"})


async def plan(credentials: Credentials, settings: Settings, asked: Asked, now: datetime) -> Plan:
    """Raises ClusterError where not enough may be read."""
    asking = DryRuns(credentials, lambda *_: None)
    consents = Consents(asking, settings)
    async with asking, Rehearsal(credentials, consents) as rehearsal:
        primed = Primed(rehearsal, consents, settings, now)
        await primed.prime()
        await primed.read_secrets()
        before = {key: policy_of(primed, one) for key, one in primed.cache.registries.objects.items()}
        known, hosts = _names(primed), _hosts(primed)
        intent = Intent(primed, asking, asked, now)
        await intent.take()
        await primed.read_secrets()
        works = intent.works | (_everything(primed) if asked.everything else set())
        await primed.settle(works)
        _collect(primed, intent)
        shifts = _clients(primed, before, {**known, **_names(primed)}, hosts)
        return _outcome(primed, intent, shifts)


def policy_of(primed: Primed, registry: Registry) -> Policy:
    """The one in force, where all of it can be read; else what would be written."""
    observed = primed.at.observe_registry(registry)
    if all(isinstance(observed.secrets.get(key), SecretData) for key in names.policies(registry)):
        return in_force(observed)
    return draft(observed).policy


def _collect(primed: Primed, intent: Intent) -> None:
    """What goes with its owner: the garbage collector's work, no reconcile's."""
    owners = {write.before["metadata"]["uid"] for write in intent.gone if write.before}
    kinds = {resource.kind: resource for resource in KNOWN.values() if resource.group != REGISTRIES.group}
    for (kind, key), child in sorted(primed.cache.children.items()):
        if owners.intersection(child.owners):
            primed.cluster.gone(kinds[kind], key)
    for key, secret in sorted(primed.secrets.view.found.items()):
        if owners.intersection(secret.owners):
            primed.cluster.gone(SECRETS, key)


def _everything(primed: Primed) -> set[Work]:
    cache = primed.cache
    return {
        *(Work(kind, *key) for key in cache.registries.objects for kind in (Kind.POLICY, Kind.REGISTRY)),
        *(Work(Kind.NAMESPACE, *key) for key in cache.claims.objects),
        *(Work(Kind.ACCESS_TOKEN, *key) for key in cache.tokens.objects),
    }


def _outcome(primed: Primed, intent: Intent, shifts: Mapping[Key, clients.Shift]) -> Plan:
    writes = [one for one in primed.cluster.writes if one.resource not in OURS and not _hidden(primed, one)]
    own = sorted(map(change, (*intent.edits, *intent.gone)))
    shards = {shard for one in primed.cache.registries.objects.values() for shard in names.policies(one)}
    written = {_whole(change(one)) if one.key in shards else change(one) for one in writes}
    children = sorted(written, key=lambda one: (one.key, one.kind))
    failures = [
        Refusal(str(work), f"its reconcile would fail: {error.message}")
        for work, error in primed.failures.items()
    ]
    unread = [
        f"Secrets of {namespace} may not be read by you: theirs, and what is made of them, is not known"
        for namespace in sorted(primed.cluster.unread)
    ]
    wanted = frozenset[str]().union(*map(kinds_of, primed.cache.registries.objects.values()))
    unread += [f"{kind}: may not be read by you, and is left out" for kind in sorted(primed.unread & wanted)]
    return Plan(
        changes=(*own, *children),
        rolls=tuple(sorted(_rolls(primed, writes))),
        clients=shifts,
        foreseen=tuple(sorted(_foreseen(primed))),
        refused=(*intent.refused, *sorted(failures)),
        notes=(*intent.notes, *unread),
    )


def _whole(shard: Change) -> Change:
    """Which shard of a policy an AccessToken is in depends on its UID, which a new one has not yet."""
    if shard.kind != SECRETS.kind or shard.verb != "change":
        return shard
    name = f"{shard.key.name.rpartition('-')[0]}-*"
    return Change("change", shard.kind, Key(shard.key.namespace, name), note="the access policy")


def _hidden(primed: Primed, write: Write) -> bool:
    """What depends on Secrets that the caller may not read: their stand-ins are not what is there."""
    if write.key.namespace not in primed.cluster.unread:
        return False
    bundle = write.resource is CONFIG_MAPS and write.key.name.endswith("-ca-bundle")
    return write.resource is SECRETS or bundle


def _rolls(primed: Primed, writes: list[Write]) -> list[Roll]:
    found = []
    for write in writes:
        slices = primed.cache.slices.of(write.key).values()
        pods = {one.pod: one for each in slices for one in each.endpoints}
        rolled = roll(write, tuple(pods[pod] for pod in sorted(pods)))
        found += [rolled] if rolled is not None else []
    return found


def _clients(
    primed: Primed, before: Mapping[Key, Policy], known: Mapping[str, str], hosts: Mapping[Key, set[str]]
) -> dict[Key, clients.Shift]:
    """Of the Registries whose policy was looked at, or that are gone."""
    found: dict[Key, clients.Shift] = {}
    registries, here = primed.cache.registries.objects, _hosts(primed)
    for key in sorted({*before, *registries}):
        registry = registries.get(key)
        was, will = before.get(key, Policy()), Policy()
        if registry is not None:
            if not primed.runs[Work(Kind.POLICY, *key)] or key.namespace in primed.secrets.view.refused:
                continue
            drafted = draft(primed.at.observe_registry(registry))
            will = was if drafted.too_large else drafted.policy
        shifted = clients.shift(
            was,
            will,
            now=primed.at.now(),
            named=lambda id_: known.get(id_, f"token:{id_}"),
            unread=primed.cluster.unread,
        )
        old, new = hosts.get(key, set()), here.get(key, set())
        shifted = clients.moved(shifted, old - new, new - old if old else ())
        if shifted != clients.Shift():
            found[key] = shifted
    return found


def _hosts(primed: Primed) -> dict[Key, set[str]]:
    """By which names clients reach each Registry."""
    every = primed.cache.registries.objects
    return {key: {*one.spec.public_hosts, one.spec.private_host} for key, one in every.items()}


def _foreseen(primed: Primed) -> list[Foreseen]:
    """Each sentence once: others may repeat it, and Ready the reason of another condition."""
    found: dict[tuple[str, Key, str, str], Foreseen] = {}
    for (resource, key), status in primed.cluster.statuses.items():
        if key not in primed.cache.table(Kind(resource.kind)).objects:
            continue
        said = primed.cluster.said_before(resource, key)
        before = {one["type"]: (one["status"], one["reason"]) for one in said}
        told: set[str] = set()
        for one in sorted(status.get("conditions") or (), key=lambda one: one["type"] == "Ready"):
            kind, reason, message = one["type"], one["reason"], str(one.get("message", ""))
            certain = one["status"] == "False" and reason in CERTAIN and not _unknown(primed, key, reason)
            if not certain or kind in PROGRESS or before.get(kind) == ("False", reason):
                continue
            if kind != "Ready" or reason not in told:
                told.add(reason)
                one_of_it = Foreseen(resource.kind, key, kind, reason, message)
                found.setdefault((resource.kind, key, reason, message), one_of_it)
    return list(found.values())


def _unknown(primed: Primed, key: Key, reason: str) -> bool:
    """Whether it is said of what the caller may not read, though the operator may."""
    registry = primed.cache.registries.objects.get(key)
    blind = registry is not None and bool(kinds_of(registry) & primed.unread)
    return (reason in OF_SECRETS and key.namespace in primed.cluster.unread) or (
        reason == NOT_PERMITTED and blind
    )


def _names(primed: Primed) -> dict[str, str]:
    """AccessTokens by the id in their passwords."""
    tokens = primed.cache.tokens.objects.values()
    return {token_id(one.meta.uid): f"{AccessToken.KIND} {one.key}" for one in tokens}
