"""What a replica says of itself is read out of its metrics."""

from __future__ import annotations

import io
from importlib.metadata import version
from typing import Any

import pytest
from registry_operator.command.printing import Printer
from registry_operator.command.replicas import conditions, state, tell

from registry_runtime.contract.state import REVISION_DIGITS
from registry_runtime.metrics import Metrics

NOTHING = {
    "version": None,
    "zone": None,
    "ready": None,
    "policyRevision": None,
    "policySince": None,
    "storage": None,
    "selfCheck": None,
    "encryptionProblem": None,
}


def test_what_matters_is_read_out_of_the_metrics() -> None:
    """By the declarations of the runtime itself; of the reasons the one that holds."""
    metrics, revision = Metrics(), "0f1e2d3c4b5a6978"
    metrics.replica.set(1, 'zone "a"')
    metrics.ready.set(0)
    metrics.policy_hash.set(int(revision[:REVISION_DIGITS], 16))
    metrics.policy_since.set(1_700_000_000)
    for reason, holds in (("Ready", 0), ("AccessDenied", 1)):
        metrics.storage.set(holds, reason)
    metrics.self_check.set(1, "SelfCheckFailed")
    assert state(metrics.text()) == NOTHING | {
        "version": version("roadstead"),
        "zone": 'zone "a"',
        "ready": False,
        "policyRevision": "0f1e2d3c4b5a…",
        "policySince": "2023-11-14T22:13:20Z",
        "storage": "AccessDenied",
        "selfCheck": "SelfCheckFailed",
    }


def test_what_it_does_not_say_is_not_made_up() -> None:
    """A replica that has not looked yet, an older release, and what are no metrics at all."""
    for text in ("", "404 page not found\n", "roadstead_ready yes\nroadstead_storage{reason} 1\n"):
        assert state(text) == NOTHING


SAYS = NOTHING | {
    "version": "1",
    "zone": "zone-a",
    "ready": True,
    "policyRevision": "0f1e2d3c4b5a…",
    "policySince": "2023-11-14T22:13:20Z",
    "storage": "Ready",
    "selfCheck": "Passed",
}
REVISION = "0f1e2d3c4b5a6978"
FAILS = "harbour-0 in zone-a: a pull of what was pushed: 503; it is checked again and again"


def status(**conditions: tuple[str, str, str]) -> dict[str, Any]:
    """Of the Registry: status, reason and message by type."""
    names = ("status", "reason", "message")
    said = [{"type": kind, **dict(zip(names, one, strict=True))} for kind, one in conditions.items()]
    return {"policyRevision": REVISION, "conditions": said}


@pytest.mark.parametrize(
    ("says", "registry", "line"),
    [
        ({}, status(), "✓ PolicyPropagated: InForce"),
        ({}, {}, "✓ PolicyPropagated: InForce"),
        ({}, status(), "policy 0f1e2d3c4b5a…, in force since 2023-11-14T22:13:20Z"),
        ({}, status(), "✓ harbour-0 in zone-a, release 1: it is ready"),
        ({"ready": False}, status(), "✗ harbour-0 in zone-a, release 1: it is not ready"),
        ({"ready": None}, status(), "? harbour-0 in zone-a, release 1: it does not say if it is ready"),
        (
            {"policyRevision": "ffff2d3c4b5a…"},
            status(),
            f"✗ PolicyPropagated: Propagating: revision {REVISION} is not in force",
        ),
        (
            {"policyRevision": None},
            status(),
            "? PolicyPropagated: NotReported: it does not say which policy is in force",
        ),
        (
            {"storage": "BucketUnreachable"},
            status(StorageReady=("False", "BucketUnreachable", "no answer of https://s3.test")),
            "✗ StorageReady: BucketUnreachable: no answer of https://s3.test",
        ),
        (
            {"storage": "AccessDenied"},
            status(StorageReady=("False", "BucketUnreachable", "no answer of https://s3.test")),
            "✗ StorageReady: AccessDenied: docs/conditions.md has what it means, and the remedy",
        ),
        (
            {"selfCheck": "SelfCheckFailed"},
            status(SelfCheckPassed=("False", "SelfCheckFailed", FAILS)),
            f"✗ SelfCheckPassed: SelfCheckFailed: {FAILS}",
        ),
        (
            {"selfCheck": "Checking"},
            status(SelfCheckPassed=("Unknown", "Checking", "the first check of harbour-0 is not over")),
            "? SelfCheckPassed: Checking: the first check of harbour-0 is not over",
        ),
        (
            {"encryptionProblem": True},
            status(EncryptionReady=("False", "KeyInvalid", "k1: must have 32 bytes")),
            "✗ EncryptionReady: KeyInvalid: k1: must have 32 bytes",
        ),
    ],
)  # fmt: skip
def test_what_it_says_is_told_in_the_words_of_the_conditions(
    says: dict[str, Any], registry: dict[str, Any], line: str
) -> None:
    """A sentence is the Registry's where that speaks of the same; else of where to look."""
    assert line in told({**SAYS, **says}, registry)


def test_what_is_well_needs_no_sentence() -> None:
    """Nor does a check that an older release does not make; who could not be asked has the reason."""
    lines = told(SAYS | {"selfCheck": None}, status(StorageReady=("True", "Ready", "all is well")))
    assert lines[-1] == "✓ StorageReady: Ready"
    out = io.StringIO()
    tell([{"pod": "harbour-1", "unreachable": "no route to host"}], Printer(out))
    assert out.getvalue() == "? harbour-1\n    it could not be asked: no route to host\n"


def told(says: dict[str, Any], registry: dict[str, Any]) -> list[str]:
    out = io.StringIO()
    tell([{"pod": "harbour-0", **says, "conditions": conditions(says, registry)}], Printer(out))
    return [line.strip() for line in out.getvalue().splitlines()]
