"""What a check found, and how findings become conditions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from registry_operator.models import Condition, OwnStatus

Truth = Literal["True", "False", "Unknown"]
MESSAGE_LENGTH = 2000


@dataclass(frozen=True)
class Finding:
    """A condition before it has a time. `mend`: only somebody's doing will change it (kstatus: Stalled)."""

    type: str
    status: Truth
    reason: str
    message: str
    mend: bool = False


def yes(kind: str, reason: str, message: str) -> Finding:
    return Finding(kind, "True", reason, message)


def no(kind: str, reason: str, message: str, *, mend: bool = False) -> Finding:
    return Finding(kind, "False", reason, message, mend)


def unknown(kind: str, reason: str, message: str) -> Finding:
    return Finding(kind, "Unknown", reason, message)


def kept(kind: str, status: OwnStatus, generation: int) -> Finding | None:
    """What was said of this generation before, where there is nothing newer to go by."""
    before = status.condition(kind)
    if before is None or before.observed_generation != generation or before.status == "Unknown":
        return None
    return Finding(kind, before.status, before.reason, before.message)


def progress(ready: Finding) -> tuple[Finding, Finding]:
    """Reconciling and Stalled, as kstatus reads them: never both, neither where Ready is True.

    https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
    """
    stalled = ready.status != "True" and ready.mend
    reconciling = ready.status != "True" and not ready.mend
    return (
        Finding("Reconciling", _truth(reconciling), ready.reason, ready.message if reconciling else ""),
        Finding("Stalled", _truth(stalled), ready.reason, ready.message if stalled else ""),
    )


def conditions(
    findings: Iterable[Finding], before: OwnStatus, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Each with the time since when its status is what it is, and the generation that was looked at."""
    return tuple(_condition(finding, before, generation, now) for finding in findings)


def _condition(finding: Finding, before: OwnStatus, generation: int, now: datetime) -> Condition:
    last = before.condition(finding.type)
    same = last is not None and last.status == finding.status
    return Condition(
        type=finding.type,
        status=finding.status,
        observed_generation=generation,
        last_transition_time=last.last_transition_time if last and same else now.replace(microsecond=0),
        reason=finding.reason,
        message=finding.message[:MESSAGE_LENGTH],
    )


def _truth(value: bool) -> Truth:
    return "True" if value else "False"
