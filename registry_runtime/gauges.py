"""What a replica tells Prometheus of itself, read at the moment when it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from registry_runtime.api.access import AccessLog
from registry_runtime.contract.exposition import Values
from registry_runtime.contract.state import REVISION_DIGITS, SelfCheckReason, StorageReason
from registry_runtime.listener import Listener
from registry_runtime.metrics import Metrics
from registry_runtime.policy import PolicyFollower
from registry_runtime.state import StateBoard


@dataclass(frozen=True)
class Sources:
    """Where the values are; `listeners` may be filled later."""

    board: StateBoard
    policy: PolicyFollower
    listeners: Mapping[str, Listener]
    access: AccessLog


def read(metrics: Metrics, of: Sources) -> None:
    """From now on the metrics read there."""
    board, policy, listeners = of.board, of.policy, of.listeners
    metrics.replica.set(1, board.state.zone)
    metrics.ready.reads_one(lambda: float(board.state.ready))
    metrics.storage.reads(
        lambda: {(reason,): float(reason is board.state.storage.reason) for reason in StorageReason}
    )
    metrics.self_check.reads(lambda: _self_check(board))
    metrics.policy_since.reads_one(lambda: policy.since if policy.revision is not None else None)
    metrics.policy_hash.reads_one(lambda: _hash(policy.revision))
    metrics.policy_entries.reads(
        lambda: {
            ("namespaces",): len(policy.policy().namespaces),
            ("tokens",): len(policy.policy().tokens),
        }
    )
    metrics.policy_watched.reads_one(lambda: float(policy.watched))
    metrics.policy_refusals.reads_one(lambda: policy.refusals)
    metrics.running.reads(lambda: {(name,): one.busy() for name, one in listeners.items()})
    metrics.connections.reads(lambda: {(name,): one.connected() for name, one in listeners.items()})
    metrics.certificate.reads(
        lambda: {(name,): one.tls.ends for name, one in listeners.items() if one.tls is not None}
    )
    metrics.issuers.reads(
        lambda: {(name,): float(problem is None) for name, problem in board.state.issuers.items()}
    )
    metrics.key_problem.reads_one(lambda: _key_problem(board))
    metrics.rewrapping.reads(lambda: _rewrapping(board))
    metrics.log_lost.reads_one(lambda: of.access.lost)
    metrics.log_waiting.reads_one(lambda: of.access.waiting)


def _hash(revision: str | None) -> float | None:
    """As a value, since as a label each policy would begin a series (docs/decisions/0051)."""
    return None if revision is None else float(int(revision[:REVISION_DIGITS], 16))


def _self_check(board: StateBoard) -> Values:
    found = board.state.self_check
    return {(reason,): float(reason is found.reason) for reason in SelfCheckReason} if found else {}


def _key_problem(board: StateBoard) -> float | None:
    found = board.state.encryption
    return None if found is None else float(found.problem is not None)


def _rewrapping(board: StateBoard) -> Values:
    found = board.state.encryption.rewrapping if board.state.encryption is not None else None
    if found is None:
        return {}
    return {
        ("examined",): found.examined,
        ("rewrapped",): found.rewrapped,
        ("left",): found.left,
    }
