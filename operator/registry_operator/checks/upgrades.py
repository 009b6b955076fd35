"""Whether the pods are of the newest release; and if not, what they wait for."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from registry_operator import names
from registry_operator.checks.finding import Finding, no, yes
from registry_operator.desired.fleet import UP_TO_DATE, member
from registry_operator.desired.release import asked, is_known, newest

if TYPE_CHECKING:
    from registry_operator.desired.rendered import Rendered
    from registry_operator.models import Release
    from registry_operator.observed import RegistryObserved
    from registry_operator.settings import Settings


def check(observed: RegistryObserved, rendered: Rendered, ready: Finding, settings: Settings) -> Finding:
    """Of the release that the Registry has; `ready` is what was found of it just now."""
    release, target = rendered.release, newest(settings)
    if not is_known(release):
        why = f"{release} is of a newer operator: its pods run on as they are, and no edit reaches them"
        return no(UP_TO_DATE, "ReleaseUnknown", f"{why}; {_how(observed, target, settings)}")
    moving = _moving(observed, release, target, ready, settings)
    if moving:
        return moving
    if release == target:
        return yes(UP_TO_DATE, "Newest", str(release))
    if observed.turn and not observed.turn.begins:
        return no(UP_TO_DATE, observed.turn.reason, f"{observed.turn.message} (from {release} to {target})")
    return no(UP_TO_DATE, "UpgradeAvailable", _available(observed, release, target, settings))


def begun(release: Release, before: Release) -> Finding:
    """An upgrade that begins in this moment."""
    return no(UP_TO_DATE, "Upgrading", f"from {before} to {release}")


def is_proven(observed: RegistryObserved, settings: Settings) -> bool:
    """Whether it was Ready in this release for the soak time: what happens later is not the upgrade's."""
    before = observed.registry.status.condition(UP_TO_DATE)
    soak = timedelta(seconds=settings.upgrade_soak)
    return bool(before and before.status == "True" and before.last_transition_time + soak <= observed.now)


def _moving(
    observed: RegistryObserved, release: Release, target: Release, ready: Finding, settings: Settings
) -> Finding | None:
    """An upgrade that is on its way, or has failed; None where there is none, or it is done."""
    status = observed.registry.status
    began, before = status.released_at, status.previous_release
    if began is None or ready.status == "True" or (release == target and is_proven(observed, settings)):
        return None
    if observed.now < began + timedelta(seconds=settings.upgrade_patience):
        return no(UP_TO_DATE, "Upgrading", f"from {before} to {release}")
    if release != target:
        return None
    way_back = settings.upgrade(*observed.registry.key, f"{names.UPGRADE_TO}={before}")
    why = f"not Ready in {release} ({ready.reason})"
    if member(observed.registry).automatic:
        why = f"{why}; no other automatic upgrade begins"
    return no(UP_TO_DATE, "UpgradeFailed", f"{why}. Mend it, or go back:\n{way_back}")


def _available(observed: RegistryObserved, release: Release, target: Release, settings: Settings) -> str:
    registry = observed.registry
    wanted = registry.meta.annotations.get(names.UPGRADE_TO)
    runs = f"runs {release}; the operator brings {target}"
    if names.is_paused(registry) and wanted:
        return f"{runs}. The upgrade begins when the Registry is not paused any more"
    if wanted and asked(registry, settings) is None:
        runs = f"{runs}. {names.UPGRADE_TO} asks for another one, which cannot be had"
    return f"{runs}; {_how(observed, target, settings)}"


def _how(observed: RegistryObserved, target: Release, settings: Settings) -> str:
    command = settings.upgrade(*observed.registry.key, f"{names.UPGRADE_TO}={target}")
    return f"to change to it, run:\n{command}"
