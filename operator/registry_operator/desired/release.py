"""Which release a Registry's pods are of: the one that it has, until an upgrade is begun.

A revision of the pod template that was published is never changed again: `deployment-<revision>.yaml.j2` and
what fills it in stay as long as an upgrade from it is supported, and a new one is put beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_operator import names
from registry_operator.models import Release

if TYPE_CHECKING:
    from registry_operator.models import Registry
    from registry_operator.observed import RegistryObserved
    from registry_operator.settings import Settings

TEMPLATES = (1,)  # revisions that can be rendered; the last is the newest


def newest(settings: Settings) -> Release:
    """What this operator brings."""
    return Release(settings.image, TEMPLATES[-1], settings.pull_policy)


def running(observed: RegistryObserved, settings: Settings) -> Release:
    """The Registry's own; where its status was lost, the Deployment's; of a new Registry the newest."""
    stored = Release.parse(observed.registry.status.release)
    return stored or (observed.rollout and observed.rollout.release) or newest(settings)


def is_known(release: Release) -> bool:
    """Whether this operator can render it; one of a newer operator it cannot."""
    return release.template in TEMPLATES


def asked(registry: Registry, settings: Settings) -> Release | None:
    """The release that the annotation asks for, of those that may be had; None without, or for another.

    These are the newest, the one that runs and the one before: whoever may edit a Registry chooses no image.
    """
    text = registry.meta.annotations.get(names.UPGRADE_TO)
    if text == names.NOW:
        return newest(settings)
    status = registry.status
    offered = (newest(settings), Release.parse(status.release), Release.parse(status.previous_release))
    return next((release for release in offered if release and str(release) == text), None)
