"""What a replica tells Prometheus of itself, read at the moment when it is asked."""

from __future__ import annotations

from collections.abc import Mapping

from registry_runtime.contract.state import StorageReason
from registry_runtime.listener import Listener
from registry_runtime.metrics import Gauge, Metric
from registry_runtime.policy import PolicyFollower
from registry_runtime.state import StateBoard


def gauges(board: StateBoard, policy: PolicyFollower, listeners: Mapping[str, Listener]) -> list[Metric]:
    """`listeners` may be filled later."""
    return [
        Gauge(
            "roadstead_ready",
            "1 while requests may be sent here.",
            (),
            lambda: {(): float(board.state.ready)},
        ),
        Gauge(
            "roadstead_storage",
            "1 for what the last check found.",
            ("reason",),
            lambda: {(reason,): float(reason is board.state.storage.reason) for reason in StorageReason},
        ),
        Gauge(
            "roadstead_policy_info",
            "1 for the revision in force.",
            ("revision",),
            lambda: {(policy.revision or "",): 1.0},
        ),
        Gauge(
            "roadstead_policy_since_seconds",
            "When the policy came into force, in seconds of Unix.",
            (),
            lambda: {(): policy.since},
        ),
        Gauge(
            "roadstead_policy_refusals",
            "Policies refused since the start.",
            (),
            lambda: {(): float(policy.refusals)},
        ),
        Gauge(
            "roadstead_requests_running",
            "Requests that are being answered.",
            ("listener",),
            lambda: {(name,): float(listener.busy()) for name, listener in listeners.items()},
        ),
    ]
