"""Namespace: whether its name is its own."""

from registry_operator import names
from registry_operator.checks import namespace as checks
from registry_operator.models import Key
from registry_operator.observed import NamespaceObserved
from registry_operator.reconcile import status
from registry_operator.reconcile.context import Context
from registry_operator.relations import guests_of


async def reconcile(at: Context, key: Key) -> None:
    """The claim itself is written with the Registry's policy. Raises ClusterError."""
    claim = at.cache.claims.objects.get(key)
    if claim is None or claim.meta.deleting or not at.is_open(key.namespace):
        return
    registry = at.cache.registries.objects.get(claim.registry)
    written = at.cache.children.get(("ConfigMap", names.claims(registry))) if registry else None
    guests = (at.cache.tokens.objects.get(guest) for guest in guests_of(claim))
    observed = NamespaceObserved(
        namespace=claim,
        now=at.now(),
        registry=registry,
        rivals=at.cache.rivals(claim),
        tokens={one.key: one for one in guests if one is not None and claim.registry in one.registries},
        kubernetes_namespaces=at.cache.accounts,
        claims=written.data if written else {},
        propagation=at.cache.propagations.get(claim.registry),
    )
    await status.write(at, claim, checks.judge(observed))
