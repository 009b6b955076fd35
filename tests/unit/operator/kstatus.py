"""What Argo CD, Flux and kubectl make of a status: the published rules, written down again.

https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def kstatus(generation: int, status: Mapping[str, Any]) -> str:
    """Current, InProgress or Failed, of an object that is not being deleted."""
    conditions = {one["type"]: one["status"] for one in status.get("conditions", ())}
    if "observedGeneration" in status and status["observedGeneration"] != generation:
        return "InProgress"
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    return "InProgress" if conditions.get("Ready") in ("False", "Unknown") else "Current"
