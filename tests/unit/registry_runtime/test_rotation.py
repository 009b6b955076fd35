"""The tenant's keys in a replica: what it tells the operator, and when it may begin to rewrap."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry_runtime.contract.policy import KeyUse, Policy
from registry_runtime.encryption.vault import Vault
from registry_runtime.rotation import Rotation
from registry_runtime.state import StateBoard
from tests.keys import keyring


class Replica:
    """A replica's keys, its policy, and its clock."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.vault = Vault(keyring(directory, "none", k1=b"1" * 32))
        self.board = StateBoard("replica-0", "zone-a", datetime.now(UTC))
        self.policy = Policy()
        self.now = 0.0
        self.rotation = Rotation(self.vault, lambda: self.policy, self.board, lambda: self.now)

    def use(self, active: str, *, settled: bool = False, turn: str = "1") -> KeyUse:
        use = KeyUse(active=active, settled=settled, turn=turn)
        self.policy = Policy(encryption=use)
        self.rotation.poll()
        return use


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    return Replica(tmp_path / "keys")


def test_the_operator_is_told_what_is_held(replica: Replica) -> None:
    """Names and ids, which one encrypts, and what is wrong; what a key is, never."""
    replica.use("k1")
    (replica.directory / "k2").write_bytes(b"2" * 32)
    (replica.directory / "k3").write_bytes(b"a passphrase")
    replica.rotation.poll()
    state = replica.board.state.encryption
    assert state is not None
    assert (set(state.keys), state.active) == ({"k1", "k2"}, "k1")
    assert state.problem is not None
    assert "k3" in state.problem
    assert "passphrase" not in replica.board.state.model_dump_json()


def test_the_policy_says_which_key_encrypts(replica: Replica) -> None:
    """A key that is named before it is mounted encrypts as soon as it is; until then the one before does."""
    replica.use("k1")
    replica.use("k2", turn="2")
    assert replica.vault.keys.active_name == "k1"
    (replica.directory / "k2").write_bytes(b"2" * 32)
    replica.rotation.poll()
    assert replica.vault.keys.active_name == "k2"


def test_late_writes_are_waited_for(replica: Replica) -> None:
    """A pass begins a minute after all replicas have turned: a write that was under way has come by then."""
    assert not replica.rotation.is_over(replica.use("k1"))
    settled = replica.use("k1", settled=True)
    assert not replica.rotation.is_over(settled)
    replica.now = 59
    assert not replica.rotation.is_over(settled)
    replica.now = 60
    assert replica.rotation.is_over(settled)
    again = replica.use("k1", settled=True, turn="2")
    assert not replica.rotation.is_over(again), "each turn waits for itself"
