"""Which of the tenant's keys encrypts: the declared one, as soon as every replica holds it.

Decided from what is declared, the policy in force and what replicas say, so a restart changes nothing.
Every replica behind the Service counts, those that are not ready or are ending included: it may still write.
One that does not answer holds nothing, as far as is known.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from registry_operator import names
from registry_operator.models import Key
from registry_operator.observed import SecretData
from registry_runtime.contract.policy import KeyUse
from registry_runtime.contract.state import EncryptionState

if TYPE_CHECKING:
    from registry_operator.observed import RegistryObserved
    from registry_runtime.contract.policy import Policy
    from registry_runtime.contract.state import ReplicaState


def key_use(observed: RegistryObserved, before: Policy) -> KeyUse | None:
    """The next step from the policy in force, one at a time; None where nothing is encrypted."""
    declared = observed.registry.spec.encryption
    if declared is None:
        return None
    use = before.encryption or _first(observed, declared.active_key)
    new = held_everywhere(observed, declared.active_key)
    if use.active != declared.active_key and new and declared.active_key in secret_keys(observed):
        return KeyUse(active=declared.active_key, id=new, turn=before.revision)
    if use.settled and _is_contradicted(observed, use):
        return use.model_copy(update={"settled": False, "turn": before.revision})
    if not use.settled and is_used_everywhere(observed, use):
        known = {state.policy_revision for state in answering(observed).values()} == {before.revision}
        id_, turn = held_everywhere(observed, use.active), _turn(observed, use)
        return use.model_copy(update={"settled": True, "id": id_, "turn": turn}) if known else use
    return use


def _turn(observed: RegistryObserved, use: KeyUse) -> str:
    """Of a key that is settled now: another one each time.

    It follows from the turn before, or, where the policy was lost, from nothing: then only the UID of its
    Secret tells it from one that was settled and lost before.
    """
    secret = observed.secrets.get(names.policies(observed.registry)[0])
    uid = secret.uid if isinstance(secret, SecretData) else ""
    return hashlib.sha256(f"{use.turn} {uid}".encode()).hexdigest()[:16]


def _first(observed: RegistryObserved, declared: str) -> KeyUse:
    """Of a new Registry the declared key. A policy that was lost goes on with what the replicas do."""
    states = answering(observed).values()
    used = {state.encryption.active for state in states if state.encryption and state.encryption.active}
    turn = max((state.policy_revision or "" for state in states), default="")
    return KeyUse(active=declared if declared in used or not used else min(used), turn=turn)


def answering(observed: RegistryObserved) -> dict[str, ReplicaState]:
    """By pod, the replicas that say anything."""
    states = ((pod, observed.replicas.get(pod)) for pod in sorted(pods(observed)))
    return {pod: state for pod, state in states if state is not None}


def pods(observed: RegistryObserved) -> frozenset[str]:
    """All that may write to the storage."""
    return frozenset(endpoint.pod for endpoint in observed.endpoints)


def held(observed: RegistryObserved) -> dict[str, EncryptionState]:
    """By pod, what the replicas that answer say of the keys."""
    return {pod: state.encryption or EncryptionState() for pod, state in answering(observed).items()}


def ids(observed: RegistryObserved, name: str) -> set[str | None]:
    """What the replicas hold under this name; None is among them where one is not known to hold anything."""
    states = held(observed)
    return {states[pod].keys.get(name) if pod in states else None for pod in pods(observed)}


def held_everywhere(observed: RegistryObserved, name: str) -> str | None:
    """The id of this key, where every replica holds it and it is the same one; None else."""
    found = ids(observed, name)
    return found.pop() if len(found) == 1 else None


def using(observed: RegistryObserved, use: KeyUse) -> frozenset[str]:
    """The replicas that say that they encrypt with this key; any of its name, while its id is not known."""
    return frozenset(
        pod
        for pod, state in held(observed).items()
        if state.active == use.active and state.keys.get(use.active) == (use.id or state.keys.get(use.active))
    )


def is_used_everywhere(observed: RegistryObserved, use: KeyUse) -> bool:
    """Whether every replica says that it encrypts with this key, and it is the same one everywhere."""
    return held_everywhere(observed, use.active) is not None and using(observed, use) == pods(observed)


def secret_keys(observed: RegistryObserved) -> frozenset[str]:
    """Names of the keys in the Secret, where it is there and may be read. Nobody here looks at the values."""
    declared = observed.registry.spec.encryption
    if declared is None:
        return frozenset()
    secret = observed.secrets.get(Key(observed.registry.meta.namespace, declared.key_secret_ref.name))
    return frozenset(secret.values) if isinstance(secret, SecretData) else frozenset()


def _is_contradicted(observed: RegistryObserved, use: KeyUse) -> bool:
    """Whether a replica says that it encrypts with another key, or with another one of this name."""
    states = [state for state in held(observed).values() if state.active]
    return any((state.active, state.keys.get(use.active)) != (use.active, use.id) for state in states)
