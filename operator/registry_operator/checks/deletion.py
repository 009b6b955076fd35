"""The status of a Registry that waits for its content to be deleted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from registry_operator import names
from registry_operator.checks.finding import Finding, conditions, no, progress
from registry_operator.checks.sentences import conflict, listed, not_permitted
from registry_operator.desired.deletion import reports
from registry_operator.models import DeletionStatus, Registry, RegistryStatus
from registry_runtime.contract.state import StorageReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry_operator.errors import InvalidResource
    from registry_operator.models import Key
    from registry_operator.observed import RegistryObserved
    from registry_operator.settings import Settings
    from registry_runtime.contract.state import EmptyingState

READY = "Ready"
NO_FAULT = frozenset({StorageReason.READY, StorageReason.CHECKING})


def judge(observed: RegistryObserved, settings: Settings) -> RegistryStatus:
    """Nothing serves any more: only Ready is said, and how far it is."""
    registry = observed.registry
    ready = _ready(observed, settings)
    told = next((emptying for _, emptying in reports(observed)), None)
    return registry.status.model_copy(
        update={
            "observed_generation": registry.meta.generation,
            "conditions": conditions(
                (ready, *progress(ready)), registry.status, registry.meta.generation, observed.now
            ),
            "replicas": observed.rollout.replicas if observed.rollout else 0,
            "ready_replicas": 0,
            "policy_acknowledged_by": (),
            "deletion": _progress(told) if told else registry.status.deletion,
        }
    )


def way_out(registry: Registry) -> str:
    """How a Registry goes whose content cannot be deleted."""
    return _way_out(registry.key, {"spec": {"deletionPolicy": "Retain"}})


def unread(error: InvalidResource, key: Key) -> InvalidResource:
    """Of a Registry that is to go, is held by our finalizer, and cannot be read."""
    last = _way_out(key, {"metadata": {"finalizers": None}})
    return error.with_remedy(f"once it can be read again, its content is deleted, and then it goes; {last}")


def _way_out(key: Key, patch: Mapping[str, Any]) -> str:
    return (
        "or let the Registry go, and what is left of its content stay:\n"
        f"kubectl patch registries.roadstead.dev {key.name} --namespace {key.namespace} --type=merge "
        f"-p '{json.dumps(patch, separators=(',', ':'))}'"
    )


def last_word(observed: RegistryObserved) -> str:
    """What became of the content of a Registry that is let go now."""
    s3 = observed.registry.spec.storage.s3
    where = f"the bucket {s3.bucket}{f' below {s3.prefix}' if s3.prefix else ''}" if s3 else "the storage"
    done = next((emptying for _, emptying in reports(observed) if emptying.done), None)
    if done is None:
        return f"the content in {where} stays"
    others = f"; {done.others} objects there are not Roadstead's and stay: {listed(done.named)}"
    counted = f"{done.objects} objects with {done.size} bytes were deleted in {where}"
    return f"{counted}{others if done.others else ''}"


def _ready(observed: RegistryObserved, settings: Settings) -> Finding:
    """Of what holds it back, the first."""
    registry = observed.registry
    if registry.meta.namespace in observed.secrets.refused:
        sentence = not_permitted([registry.meta.namespace], settings, names.REGISTRY_ROLE)
        return no(READY, "SecretsNotPermitted", f"{sentence}\n{way_out(registry)}", mend=True)
    if observed.conflicts:
        sentence = conflict(observed.conflicts, registry.meta.name)
        return no(READY, "NameConflict", f"{sentence}; {way_out(registry)}", mend=True)
    for state, _ in reports(observed):
        fault = state.storage
        if fault.reason not in NO_FAULT:
            lasting = fault.reason is not StorageReason.UNREACHABLE
            return no(READY, fault.reason, f"{fault.message}; {way_out(registry)}", mend=lasting)
        return no(
            READY, "EmptyingStorage", "all content is being deleted; status.deletion says how far it is"
        )
    if observed.waiting:
        pod, waiting = min(observed.waiting.items())
        sentence = f"{pod}, which is to delete all content, does not run: {waiting.message or waiting.reason}"
        return no(READY, waiting.reason, f"{sentence}; {way_out(registry)}")
    return no(READY, "StoppingReplicas", "the replicas end, and then all content is deleted")


def _progress(told: EmptyingState) -> DeletionStatus:
    return DeletionStatus(since=told.began, objects=told.objects, bytes=told.size, others=told.others)
