"""The plan as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry_operator.models import Key
from registry_operator.plan.changes import Change, Roll
from registry_operator.plan.clients import Right, Shift

NOT_PERMITTED = "NotPermitted"
# Reasons that are certain before anything runs; docs/conditions.md has the remedy of each.
CERTAIN = frozenset(
    {
        *(
            "NameTaken",
            "OwnerChanged",
            "DuplicateClaim",
            "NotAllowed",
            "RegistryNotFound",
            "NamespaceNotFound",
        ),
        *("SecretsNotPermitted", "SecretNotFound", "SecretKeyMissing", "KeyInvalid", "EncryptionKeyMissing"),
        *("CABundleNotFound", "CABundleKeyMissing", "CertificateInvalid", "CertificateExpired"),
        *("HostNotCovered", "PolicyTooLarge", "NameConflict", "TargetNotConsenting"),
        *("ServiceAccountNotFound", "Expired", "InvalidResource", NOT_PERMITTED),
        *("CertManagerNotInstalled", "GatewayApiNotInstalled"),
    }
)
OF_SECRETS = frozenset(
    {
        *("SecretNotFound", "SecretKeyMissing", "KeyInvalid", "CABundleKeyMissing", "CertificateInvalid"),
        *("CertificateExpired", "HostNotCovered", "EncryptionKeyMissing"),
    }
)


@dataclass(frozen=True, order=True)
class Foreseen:
    """A condition that would be False, and is not so now."""

    kind: str
    key: Key
    type: str
    reason: str
    message: str


@dataclass(frozen=True, order=True)
class Refusal:
    """A resource that the API server would not take, or a reconcile that would fail."""

    place: str
    message: str


@dataclass(frozen=True)
class Plan:
    """`notes` say what could not be known, and why."""

    changes: tuple[Change, ...] = ()
    rolls: tuple[Roll, ...] = ()
    clients: Mapping[Key, Shift] | None = None  # by Registry
    foreseen: tuple[Foreseen, ...] = ()
    refused: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def lost(self) -> tuple[Right, ...]:
        return tuple(one for shift in (self.clients or {}).values() for one in shift.lost)

    @property
    def effects(self) -> frozenset[str]:
        """Words for what a pipeline may refuse: delete, roll, lost-access, condition."""
        found = {
            "delete": any(one.verb == "delete" for one in self.changes),
            "roll": any(not one.why.startswith(("start", "scale")) for one in self.rolls),
            "lost-access": bool(self.lost),
            "condition": bool(self.foreseen),
        }
        return frozenset(word for word, so in found.items() if so)

    def document(self) -> dict[str, Any]:
        """As JSON. Nothing in it is secret."""
        return {
            "changes": [
                {
                    "verb": one.verb,
                    "kind": one.kind,
                    "namespace": one.key.namespace,
                    "name": one.key.name,
                    "diff": list(one.diff),
                    "note": one.note,
                }
                for one in self.changes
            ],
            "pods": [
                {
                    "registry": str(one.registry),
                    "why": one.why,
                    "pods": [{"name": pod, "zone": zone} for pod, zone in one.pods],
                }
                for one in self.rolls
            ],
            "clients": {
                str(key): {
                    "lost": [_right(one) for one in shift.lost],
                    "gained": [_right(one) for one in shift.gained],
                    "limits": list(shift.limits),
                }
                for key, shift in (self.clients or {}).items()
            },
            "conditions": [
                {
                    "kind": one.kind,
                    "namespace": one.key.namespace,
                    "name": one.key.name,
                    "type": one.type,
                    "status": "False",
                    "reason": one.reason,
                    "message": one.message,
                }
                for one in self.foreseen
            ],
            "refused": [{"resource": one.place, "message": one.message} for one in self.refused],
            "notes": list(self.notes),
        }


def _right(one: Right) -> dict[str, Any]:
    return {
        "client": one.who,
        "actions": list(one.actions),
        "repositories": one.repositories,
        "example": one.example,
        "domain": one.domain,
    }
