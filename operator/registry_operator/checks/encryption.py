"""EncryptionReady: whether the key that is declared encrypts, and which keys nothing needs any more.

Keys are told apart by their names in the Secret and by their ids; what they are is never looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_operator import names
from registry_operator.checks.finding import Finding, kept, no, unknown, yes
from registry_operator.checks.sentences import listed, not_permitted
from registry_operator.desired import encryption as keys
from registry_operator.models import EncryptionStatus, HeldKey, Key, Rewrapping
from registry_operator.observed import Absence, SecretData

if TYPE_CHECKING:
    from registry_operator.desired.rendered import Rendered
    from registry_operator.models import Encryption
    from registry_operator.observed import RegistryObserved
    from registry_operator.settings import Settings
    from registry_runtime.contract import state
    from registry_runtime.contract.policy import KeyUse

TYPE = "EncryptionReady"


def check(observed: RegistryObserved, rendered: Rendered, settings: Settings) -> Finding | None:
    """None where nothing is encrypted."""
    declared, use = observed.registry.spec.encryption, rendered.draft.policy.encryption
    if declared is None or use is None:
        return None
    return (
        _secret(observed, declared, use, settings)
        or _silence(observed)
        or _fault(observed, declared, use)
        or _waiting(observed, declared, use)
        or _used(observed, use)
    )


def status(observed: RegistryObserved, rendered: Rendered) -> EncryptionStatus | None:
    """Of the replicas that answer; before the first of them does, what was known before."""
    use, states = rendered.draft.policy.encryption, keys.held(observed).values()
    if use is None:
        return None
    if not states:
        return observed.registry.status.encryption or EncryptionStatus()
    everywhere = dict(sorted(set[tuple[str, str]].intersection(*(set(one.keys.items()) for one in states))))
    used = keys.is_used_everywhere(observed, use)
    made = _pass(observed, use)
    return EncryptionStatus(
        active=HeldKey(name=use.active, id=everywhere[use.active]) if used else None,
        keys=everywhere,
        rewrapping=_progress(made) if made else None,
        removable=_removable(observed, use),
    )


def _secret(
    observed: RegistryObserved, declared: Encryption, use: KeyUse, settings: Settings
) -> Finding | None:
    """What is wrong with the Secret that the spec names."""
    key = Key(observed.registry.meta.namespace, declared.key_secret_ref.name)
    found, place = observed.secrets.get(key), f"Secret {key} of spec.encryption.keySecretRef"
    if found is Absence.NOT_PERMITTED:
        message = not_permitted([key.namespace], settings, names.REGISTRY_ROLE)
        return no(TYPE, "SecretsNotPermitted", message, mend=True)
    if not isinstance(found, SecretData):
        message = f"{place} does not exist; create it with {declared.active_key}, and every key before it"
        return no(TYPE, "SecretNotFound", message, mend=True)
    missing = sorted({declared.active_key, use.active} - set(found.values))
    if missing:
        return no(TYPE, "SecretKeyMissing", f"{place} lacks {' and '.join(missing)}", mend=True)
    return None


def _fault(observed: RegistryObserved, declared: Encryption, use: KeyUse) -> Finding | None:
    """What the replicas found wrong with keys; a key that was written over first."""
    states = keys.held(observed).values()
    place = f"Secret {observed.registry.meta.namespace}/{declared.key_secret_ref.name}"
    found = {one.keys[use.active] for one in states if use.active in one.keys}
    if use.id and found and use.id not in found:
        other = f"{place}: {use.active} (id {min(found)}) is another key than the one that encrypts"
        message = f"{other} (id {use.id}); put that one back. A new key needs a new name"
        return no(TYPE, "KeyInvalid", message, mend=True)
    problems = {one.problem for one in states if one.problem}
    if problems:
        return no(TYPE, "KeyInvalid", f"{place}: {min(problems)}", mend=True)
    return None


def _silence(observed: RegistryObserved) -> Finding | None:
    """No replica says anything: what was said before stays, where one may only not have been asked yet."""
    if keys.held(observed):
        return None
    before = kept(TYPE, observed.registry.status, observed.registry.meta.generation)
    silent = unknown(TYPE, "NotReported", "no replica has said yet which keys it holds")
    return before if before and observed.endpoints else silent


def _waiting(observed: RegistryObserved, declared: Encryption, use: KeyUse) -> Finding | None:
    """The declared key waits for the replicas, to hold it or to begin with it."""
    wanted, states = declared.active_key, keys.held(observed)
    silent = [f"{pod} (does not answer)" for pod in keys.pods(observed) - states.keys()]
    if use.active != wanted:
        without = [pod for pod, one in states.items() if wanted not in one.keys] + silent
        different = ", ".join(sorted(filter(None, keys.ids(observed, wanted))))
        why = f"not yet {listed(without)}" if without else f"they hold different ones ({different})"
        message = f"{use.active} encrypts until every replica holds the same {wanted}: {why}"
        return no(TYPE, "KeyNotHeldYet", message)
    if not use.settled:
        without = [*(states.keys() - keys.using(observed, use)), *silent]
        why = f": not yet {listed(without)}" if without else ""
        return no(TYPE, "Propagating", f"every replica is to encrypt with {wanted}{why}")
    return None


def _used(observed: RegistryObserved, use: KeyUse) -> Finding:
    """The declared key encrypts: what becomes of the others."""
    encrypts = f"{use.active} (id {use.id}) encrypts"
    if not keys.secret_keys(observed) - {use.active}:
        return yes(TYPE, "Active", encrypts)
    removable = _removable(observed, use)
    if removable:
        spare = f"nothing in the storage needs {listed(removable)}"
        message = f"{encrypts}; {spare}: remove from the Secret what is not to be used next"
        return yes(TYPE, "KeyRemovable", message)
    made = _pass(observed, use)
    left = f"; {made.left} records are left for the next pass" if made and made.done and made.left else ""
    return yes(TYPE, "Rewrapping", f"{encrypts}; what other keys encrypted is encrypted anew{left}")


def _removable(observed: RegistryObserved, use: KeyUse) -> tuple[str, ...]:
    """Keys of the Secret that no record needs, and that no replica may still encrypt with."""
    made = _pass(observed, use)
    if not (use.settled and made and made.done and made.left == 0):
        return ()
    if not keys.is_used_everywhere(observed, use):
        return ()
    return tuple(sorted(keys.secret_keys(observed) - {use.active}))


def _pass(observed: RegistryObserved, use: KeyUse) -> state.Rewrapping | None:
    """The best pass for the key in use that began in its present turn; older ones prove nothing."""
    states = keys.held(observed).values()
    made = [
        one.rewrapping
        for one in states
        if one.rewrapping
        and (one.rewrapping.turn, one.rewrapping.key) == (use.turn, one.keys.get(use.active))
    ]
    return max(made, key=lambda one: (one.done, -one.left, one.examined), default=None)


def _progress(made: state.Rewrapping) -> Rewrapping:
    """Round figures while it goes on, so that the status is not written for each record."""
    examined, rewrapped = (
        (made.examined, made.rewrapped) if made.done else (_round(made.examined), _round(made.rewrapped))
    )
    return Rewrapping(examined=examined, rewrapped=rewrapped, left=made.left, done=made.done)


def _round(count: int) -> int:
    """Down, to two digits that count."""
    digits = str(count)
    return int(digits[:2].ljust(len(digits), "0"))
