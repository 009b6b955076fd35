"""What a replica says of itself, out of its metrics. No I/O.

All of it is on the internal port, which answers the operator alone. Its metrics say what matters without a
sentence, and can be read through the API server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from registry_operator.models.base import format_time
from registry_runtime.contract.state import REVISION_DIGITS

Object = dict[str, Any]
_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Sample(NamedTuple):
    """A line of the text format; labels as they stand there."""

    name: str
    labels: dict[str, str]
    value: float


def state(text: str) -> Object:
    """None for what it does not say: it has not looked yet, or its release is an older one."""
    said = tuple(_samples(text))
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


def _samples(text: str) -> Iterator[Sample]:
    for line in text.splitlines():
        found = _SAMPLE.fullmatch(line)
        if found is None:
            continue
        try:
            yield Sample(found[1], dict(_LABEL.findall(found[2] or "")), float(found[3]))
        except ValueError:
            continue


def _value(said: tuple[Sample, ...], name: str) -> float | None:
    return next((one.value for one in said if one.name == name), None)


def _label(said: tuple[Sample, ...], name: str, label: str) -> str | None:
    """Of the sample that is 1: all others of the family are not so."""
    return next((one.labels.get(label) for one in said if one.name == name and one.value), None)
