"""The finalizer of a Registry whose content goes with it."""

import logging

from registry_operator.checks.deletion import last_word
from registry_operator.cluster.resources import REGISTRIES
from registry_operator.desired.deletion import finalizers
from registry_operator.errors import NotFound
from registry_operator.events import NOTE, Note
from registry_operator.models import Registry
from registry_operator.observed import RegistryObserved
from registry_operator.reconcile.context import Context

log = logging.getLogger(__name__)


async def hold(at: Context, registry: Registry) -> None:
    """Puts the finalizer on. Raises ClusterError."""
    await _write(at, registry, held=True)


async def release(at: Context, observed: RegistryObserved) -> None:
    """Takes the finalizer off, and says what became of the content. Raises ClusterError."""
    registry = observed.registry
    await _write(at, registry, held=False)
    if registry.meta.deleting:
        word = last_word(observed)
        at.recorder.record(registry, [Note("Normal", "Released", "Delete", word[:NOTE])])
        log.info("registry let go", extra={"registry": str(registry.key), "content": word})


async def _write(at: Context, registry: Registry, *, held: bool) -> None:
    """Of the Registry as it was read: the finalizers of others are part of the list."""
    change = {"metadata": {"finalizers": finalizers(registry, held=held)}}
    try:
        answer = await at.cluster.merge(REGISTRIES, *registry.key, change, registry.meta)
    except NotFound:
        return
    if held or not registry.meta.deleting:
        at.cache.see_registry(registry.key, Registry.parse(answer))
