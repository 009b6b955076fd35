"""What replicas of another version tell."""

from __future__ import annotations

import json

from registry_runtime.contract.state import ReplicaState, StorageReason


def test_what_a_newer_replica_tells_beyond_is_ignored() -> None:
    """An operator that was taken back still knows which policy such a replica has."""
    told = {"version": "1", "replica": "p", "zone": "a", "started": "2026-11-21T12:00:00Z", "ready": True}
    more = {"policy_revision": "r", "moon": "full", "storage": {"reason": "MoonTooBright", "phase": 1}}
    state = ReplicaState.model_validate_json(json.dumps(told | more))
    assert (state.policy_revision, state.storage.reason) == ("r", StorageReason.CHECKING)
