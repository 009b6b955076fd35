"""The status of a Registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_operator import names
from registry_operator.checks import (
    authentication,
    autoscaling,
    encryption,
    exposure,
    in_use,
    pause,
    self_check,
    storage,
    tls,
    upgrades,
    zones,
)
from registry_operator.checks import propagation as policy
from registry_operator.checks.finding import Finding, conditions, kept, no, progress, unknown, yes
from registry_operator.checks.propagation import propagation
from registry_operator.checks.sentences import conflict, not_permitted
from registry_operator.desired.release import is_known
from registry_operator.desired.rendered import fingerprint
from registry_operator.models import Endpoints, RegistryStatus

if TYPE_CHECKING:
    from registry_operator.desired.rendered import Rendered
    from registry_operator.observed import RegistryObserved, Rollout
    from registry_operator.settings import Settings

__all__ = ["judge", "propagation"]
READY = "Ready"


def judge(observed: RegistryObserved, rendered: Rendered, settings: Settings) -> RegistryStatus:
    """The whole status. `lastTransitionTime` of a condition moves only with its status."""
    registry = observed.registry
    reached = propagation(observed, rendered)
    by_zone = zones.zones(observed)
    storage_ready = storage.check(observed, settings)
    tls_ready = tls.check(observed, rendered, settings)
    encrypted = encryption.check(observed, rendered, settings)
    reviews, issuers = authentication.reviews(observed), authentication.issuers(observed)
    scales = autoscaling.check(observed)
    used = in_use.check(observed)
    checked = self_check.check(observed)
    exposed = exposure.check(observed, settings)
    parts = (storage_ready, tls_ready, *(one for one in (encrypted, reviews, checked) if one))
    refused = (exposed,) if exposed and exposed.mend else ()
    ready = _ready(observed, rendered, settings, (*parts, *refused))
    paused = pause.check(observed)
    findings = (
        ready,
        *progress(ready),
        zones.available(observed),
        *parts,
        *(one for one in (issuers, scales, exposed) if one),
        policy.check(observed, rendered, reached),
        zones.redundant(observed, by_zone),
        upgrades.check(observed, rendered, ready, settings),
        *([paused] if paused else []),
        *([used] if used else []),
    )
    rollout = observed.rollout
    return RegistryStatus(
        observed_generation=registry.meta.generation,
        conditions=conditions(findings, registry.status, registry.meta.generation, observed.now),
        endpoints=Endpoints(
            public=f"https://{registry.spec.hostname}", private=f"https://{registry.spec.private_host}"
        ),
        replicas=rollout.replicas if rollout else 0,
        ready_replicas=len(zones.serving(observed)),
        desired_replicas=observed.wanted,
        release=str(rendered.release),
        previous_release=registry.status.previous_release,
        released_at=registry.status.released_at,
        selector=",".join(f"{label}={value}" for label, value in names.selector(registry).items()),
        zones=by_zone,
        policy_revision=rendered.draft.revision,
        policy_acknowledged_by=policy.acknowledged(observed, reached),
        encryption=encryption.status(observed, rendered),
        ca_bundle=_ca_bundle(observed, rendered),
    )


def _ready(
    observed: RegistryObserved, rendered: Rendered, settings: Settings, parts: tuple[Finding, ...]
) -> Finding:
    """What is declared in this generation is what serves. The first that holds it back is the reason."""
    blocked = _blocked(observed, rendered, settings)
    if blocked:
        return blocked
    for part in parts:
        if part.status == "False":
            return no(READY, part.reason, part.message, mend=part.mend)
    rolled_out = _rolled_out(observed, rendered)
    unsure = next((part for part in parts if part.status == "Unknown"), None)
    if rolled_out.status == "True" and unsure:
        return no(READY, unsure.reason, unsure.message)
    return rolled_out


def _blocked(observed: RegistryObserved, rendered: Rendered, settings: Settings) -> Finding | None:
    """Children that could not be applied at all."""
    namespace = observed.registry.meta.namespace
    if namespace in observed.secrets.refused:
        message = not_permitted([namespace], settings, names.REGISTRY_ROLE)
        return no(READY, "SecretsNotPermitted", message, mend=True)
    if observed.conflicts:
        return no(READY, "NameConflict", conflict(observed.conflicts, observed.registry.meta.name), mend=True)
    if rendered.draft.too_large:
        return no(READY, "PolicyTooLarge", "see PolicyPropagated", mend=True)
    return pause.holds_back(observed)


def _rolled_out(observed: RegistryObserved, rendered: Rendered) -> Finding:
    """Whether every replica that is wanted is of this generation, and serves."""
    wanted, rollout = observed.wanted, observed.rollout
    if rollout is None:
        return unknown(READY, "Progressing", "the Deployment is not there yet")
    serve = len(zones.serving(observed))
    count = f"{serve} of {wanted} replicas serve"
    if not is_known(rendered.release):
        return _as_it_was(observed, min(serve, rollout.available) >= wanted)
    current = _is_current(observed, rendered, rollout)
    if current and min(serve, rollout.available) >= wanted:
        return yes(READY, "ReplicasServe", f"{count}, all of this generation")
    if observed.waiting:
        pod, waiting = min(observed.waiting.items())
        return no(READY, waiting.reason, f"{count}; {pod}: {waiting.message or waiting.reason}")
    if rollout.stuck:
        return no(READY, "RolloutStuck", f"{count}; {rollout.stuck}")
    return no(READY, "ReplicasNotReady" if current else "RollingOut", count)


def _as_it_was(observed: RegistryObserved, serves: bool) -> Finding:
    """Pods of a release that cannot be rendered: what was true of this generation is still true."""
    before = kept(READY, observed.registry.status, observed.registry.meta.generation)
    if before and before.status == "True" and serves:
        return before
    return no(READY, "ReleaseUnknown", "see UpToDate", mend=True)


def _is_current(observed: RegistryObserved, rendered: Rendered, rollout: Rollout) -> bool:
    """The Deployment is as rendered, its controller has seen that, and no older pod is left."""
    child = rendered.child("Deployment", observed.registry.key)
    wanted = observed.wanted
    return (
        child is not None
        and rollout.rendered == fingerprint(child)
        and rollout.observed_generation >= rollout.generation
        and rollout.updated >= wanted
        and rollout.replicas <= wanted
    )


def _ca_bundle(observed: RegistryObserved, rendered: Rendered) -> str | None:
    key = names.ca_bundle(observed.registry)
    return key.name if rendered.child("ConfigMap", key) else None
