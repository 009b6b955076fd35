"""What Flux, cli-utils and Helm 4 make of a resource: the published rules, written down again.

`compute` is `status.Compute` for a kind that is not built in, in its order of questions:
https://github.com/kubernetes-sigs/cli-utils/blob/5895ad6c17dd/pkg/kstatus/status/status.go
https://github.com/kubernetes-sigs/cli-utils/blob/5895ad6c17dd/pkg/kstatus/status/generic.go
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def compute(resource: Mapping[str, Any]) -> str:
    """Current, InProgress, Failed or Terminating, of an object as the API server has it."""
    metadata, status = resource["metadata"], resource.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return "InProgress"
    conditions = status.get("conditions") or ()
    for one in conditions:  # in the order in which they stand there
        if (one["type"], one["status"]) == ("Reconciling", "True"):
            return "InProgress"
        if (one["type"], one["status"]) == ("Stalled", "True"):
            return "Failed"
    ready = next((one["status"] for one in conditions if one["type"] == "Ready"), "True")
    return "Current" if ready == "True" else "InProgress"


def kstatus(generation: int, status: Mapping[str, Any]) -> str:
    """Of an object of this generation and status that is not being deleted."""
    return compute({"metadata": {"generation": generation}, "status": status})
