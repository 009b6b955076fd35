"""What a replica says of itself, out of its metrics. No I/O.

All of it is on the internal port, which answers the operator alone. Its metrics say what matters without a
sentence, and can be read through the API server; the sentences stand in the conditions of its Registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from registry_operator.checks import encryption, propagation, self_check, storage
from registry_operator.command.printing import Printer
from registry_operator.command.status import MARKS, tell_condition
from registry_operator.models.base import format_time
from registry_runtime.contract.exposition import Sample, read
from registry_runtime.contract.state import REVISION_DIGITS, SelfCheckReason, StorageReason

Object = dict[str, Any]
_TRUTH: dict[str, str] = {
    StorageReason.READY: "True",
    StorageReason.CHECKING: "Unknown",
    SelfCheckReason.PASSED: "True",
    SelfCheckReason.CHECKING: "Unknown",
}  # of any other reason: False
_READY = {
    True: ("True", "it is ready"),
    False: ("False", "it is not ready"),
    None: ("Unknown", "it does not say if it is ready"),
}


def state(text: str) -> Object:
    """None for what it does not say: it has not looked yet, or its release is an older one."""
    said = tuple(read(text))
    policy, since = _value(said, "roadstead_policy_hash"), _value(said, "roadstead_policy_timestamp_seconds")
    ready, keys = _value(said, "roadstead_ready"), _value(said, "roadstead_encryption_problem")
    return {
        "version": _label(said, "roadstead_build_info", "version"),
        "zone": _label(said, "roadstead_replica_info", "zone"),
        "ready": None if ready is None else bool(ready),
        "policyRevision": None if policy is None else f"{int(policy):0{REVISION_DIGITS}x}…",
        "policySince": None if since is None else format_time(datetime.fromtimestamp(since, UTC)),
        "storage": _label(said, "roadstead_storage", "reason"),
        "selfCheck": _label(said, "roadstead_self_check", "reason"),
        "encryptionProblem": None if keys is None else bool(keys),
    }


def conditions(state: Object, status: Mapping[str, Any]) -> list[Object]:
    """The same in the words of the Registry's conditions; `status` is the Registry's."""
    known = {one["type"]: one for one in status.get("conditions") or ()}
    found = [_policy(state, status.get("policyRevision") or "")]
    for kind, reason in ((storage.TYPE, state["storage"]), (self_check.TYPE, state["selfCheck"])):
        if reason is not None:
            found.append(
                _condition(kind, _TRUTH.get(reason, "False"), reason, _sentence(known, kind, reason))
            )
    if state["encryptionProblem"]:
        reason = known.get(encryption.TYPE, {}).get("reason") or "KeyInvalid"
        sentence = _sentence(known, encryption.TYPE, reason)
        found.append(_condition(encryption.TYPE, "False", reason, sentence))
    return found


def tell(replicas: Iterable[Object], printer: Printer) -> None:
    """A tree for people, as `status` has it; each with its `pod`, and why it is `unreachable`, if it is."""
    for one in replicas:
        if "unreachable" in one:
            printer.line(f"? {one['pod']}")
            printer.line(f"it could not be asked: {one['unreachable']}", indent=4)
            continue
        truth, serves = _READY[one["ready"]]
        mark, _ = MARKS[truth]
        place = f" in {one['zone']}" if one["zone"] else ""
        printer.line(f"{mark} {one['pod']}{place}, release {one['version'] or 'unknown'}: {serves}")
        if one["policyRevision"]:
            since = f" since {one['policySince']}" if one["policySince"] else ""
            printer.line(f"policy {one['policyRevision']}, in force{since}", indent=4)
        for each in one["conditions"]:
            tell_condition(each, printer, 4)


def _policy(state: Object, wanted: str) -> Object:
    have = state["policyRevision"]
    if have is None:
        return _condition(
            propagation.TYPE, "Unknown", "NotReported", "it does not say which policy is in force"
        )
    if wanted.startswith(have.removesuffix("…")) or not wanted:
        return _condition(propagation.TYPE, "True", "InForce", "")
    return _condition(propagation.TYPE, "False", "Propagating", f"revision {wanted} is not in force")


def _sentence(known: Mapping[str, Object], kind: str, reason: str) -> str:
    """What the Registry says for the same reason; of another replica it may have another one."""
    one = known.get(kind, {})
    same = one.get("reason") == reason and one.get("status") != "True"
    return str(one.get("message") or "") if same else "docs/conditions.md has what it means, and the remedy"


def _condition(kind: str, status: str, reason: str, message: str) -> Object:
    message = "" if status == "True" else message
    return {"type": kind, "status": status, "reason": str(reason), "message": message}


def _value(said: tuple[Sample, ...], name: str) -> float | None:
    return next((one.value for one in said if one.name == name), None)


def _label(said: tuple[Sample, ...], name: str, label: str) -> str | None:
    """Of the sample that is 1: all others of the family are not so."""
    return next((one.labels.get(label) for one in said if one.name == name and one.value), None)
