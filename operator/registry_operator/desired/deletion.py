"""What a Registry's deletion policy asks for next: its finalizer, and the emptying of its storage."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from registry_operator import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry_operator.models import Registry
    from registry_operator.observed import RegistryObserved
    from registry_runtime.contract.state import EmptyingState, ReplicaState


class Step(Enum):
    """One write, or none."""

    NONE = auto()
    HOLD = auto()  # put the finalizer on, before anything can be pushed
    EMPTY = auto()  # the content goes, and the Registry waits for it
    RELEASE = auto()  # take the finalizer off


def step(observed: RegistryObserved) -> Step:
    """Whatever the policy says now decides, also after the deletion began.

    In a Kubernetes namespace that is being deleted no pod can be started: its Registry is let go, and the
    content stays.
    """
    registry = observed.registry
    held, wanted = names.CONTENT in registry.meta.finalizers, goes(registry)
    if not registry.meta.deleting:
        permitted = registry.meta.namespace not in observed.secrets.refused  # else nothing of it runs
        if held:
            return Step.NONE if wanted else Step.RELEASE
        return Step.HOLD if wanted and permitted else Step.NONE
    if not held:
        return Step.NONE
    account = observed.kubernetes_namespaces.get(registry.meta.namespace)
    if not wanted or (account is not None and account.terminating) or is_emptied(observed):
        return Step.RELEASE
    return Step.EMPTY


def goes(registry: Registry) -> bool:
    """Whether there is content that is to go with the Registry; what lies in a pod goes with that anyhow."""
    return registry.spec.deletion_policy == "Delete" and registry.spec.storage.s3 is not None


def is_emptied(observed: RegistryObserved) -> bool:
    return any(emptying.done for _, emptying in reports(observed))


def reports(observed: RegistryObserved) -> Iterator[tuple[ReplicaState, EmptyingState]]:
    """What pods tell that delete the content of this very Registry."""
    for state in observed.replicas.values():
        if state is not None and state.emptying and state.emptying.owner == observed.registry.meta.uid:
            yield state, state.emptying


def finalizers(registry: Registry, *, held: bool) -> list[str]:
    """All that there are to be; those of others stay."""
    others = [one for one in registry.meta.finalizers if one != names.CONTENT]
    return [*others, names.CONTENT] if held else others
