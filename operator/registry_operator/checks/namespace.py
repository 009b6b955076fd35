"""The status of a Namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry_operator.models import NamespaceStatus
    from registry_operator.observed import NamespaceObserved


def judge(observed: NamespaceObserved) -> NamespaceStatus:
    """The whole status."""
    raise NotImplementedError
