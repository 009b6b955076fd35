"""`replicas` of a Deployment: Roadstead's, or its autoscaler's, and from one to the other without a dip.

The API server drops a field that the last one of its managers gives up, and a Deployment without `replicas`
has one replica. So the number that runs has another manager first: from there the autoscaler takes it.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
"""

from collections.abc import Mapping
from typing import Any

from registry_operator.children import Child as Seen
from registry_operator.cluster import Seen as Known
from registry_operator.cluster import Version
from registry_operator.desired.rendered import Child
from registry_operator.models import AccessToken, Registry
from registry_operator.reconcile.context import Context


def leaves_replicas(child: Mapping[str, Any]) -> bool:
    """Whether their number is not ours to say."""
    return child["kind"] == "Deployment" and "replicas" not in child["spec"]


async def hand_over(
    at: Context, owner: Registry | AccessToken, child: Child, there: Seen | None, over: Known | None
) -> tuple[Child, Known | None]:
    """What is to be applied, and over what, now that somebody else holds the number.

    A new one begins with the spec's. Raises WriteConflict where the autoscaler changed it since it was seen.
    """
    if there is None:
        return {**child, "spec": {**child["spec"], "replicas": _first(owner)}}, over
    metadata = {name: child["metadata"][name] for name in ("name", "namespace")}
    number = there.document["spec"]["replicas"]
    held = await at.cluster.hold({**child, "metadata": metadata, "spec": {"replicas": number}}, there)
    return child, Version.of(held)


def _first(owner: Registry | AccessToken) -> int:
    if not isinstance(owner, Registry) or owner.spec.autoscaling is None:
        return 1
    return owner.spec.autoscaling.clamp(owner.spec.replicas)
