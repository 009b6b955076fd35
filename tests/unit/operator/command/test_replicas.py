"""What a replica says of itself is read out of its metrics."""

from __future__ import annotations

from importlib.metadata import version

from registry_operator.command.replicas import state

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
        "zone": r"zone \"a\"",
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
