"""The status of a Registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry_operator.desired.rendered import Rendered
    from registry_operator.models import RegistryStatus
    from registry_operator.observed import Propagation, RegistryObserved
    from registry_operator.settings import Settings


def judge(observed: RegistryObserved, rendered: Rendered, settings: Settings) -> RegistryStatus:
    """The whole status. `lastTransitionTime` of a condition moves only with its status."""
    raise NotImplementedError


def propagation(observed: RegistryObserved, rendered: Rendered) -> Propagation:
    """How far the policy has come; reconciles of Namespaces and AccessTokens judge by it."""
    raise NotImplementedError
