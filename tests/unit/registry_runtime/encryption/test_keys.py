"""The tenant's keys: read in every form that a tenant would write them in, and told apart by their ids."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from registry_runtime.contract.state import StorageReason
from registry_runtime.encryption.keys import Key, Keyring
from registry_runtime.errors import StorageRefused
from tests.keys import keyring

if TYPE_CHECKING:
    from pathlib import Path

RAW = bytes(range(32))


@pytest.mark.parametrize(
    "content",
    [
        RAW,
        base64.b64encode(RAW),
        base64.b64encode(RAW) + b"\n",
        RAW.hex().encode(),
        RAW.hex().encode() + b"\n",
    ],
)
def test_a_key_is_the_same_in_every_form(content: bytes) -> None:
    """32 bytes as they are, as base64, in hex, with or without the line's end that an editor leaves."""
    assert Key.of("k", content) == Key.of("k", RAW)


@pytest.mark.parametrize("content", [b"", b"short", RAW[:-1], RAW + b"x", b"password" * 8, b"\xff" * 44])
def test_what_is_no_key_is_refused(content: bytes) -> None:
    """A passphrase is none: it would be guessed."""
    with pytest.raises(ValueError, match="32 bytes"):
        Key.of("k", content)


def test_the_key_is_not_shown() -> None:
    """Neither its text nor its id holds a byte of it."""
    key = Key.of("k", RAW)
    assert RAW.hex() not in repr(key)
    assert "master" not in repr(key)
    assert key.id not in RAW.hex()
    assert key.derive(b"salt") != key.derive(b"other")


def test_keys_come_and_go_with_their_files(tmp_path: Path) -> None:
    """One that is added opens at once, and encrypts when it is told to and held; one that is gone is gone."""
    keys = keyring(tmp_path / "keys", k1=RAW)
    first = keys.active
    keys.use("k2")
    assert keys.active == first
    assert keys.problem is not None
    assert "k2" in keys.problem
    (tmp_path / "keys" / "k2").write_bytes(bytes(32))
    keys.refresh()
    assert keys.active_name == "k2"
    assert not keys.problem
    assert keys.find(first.id) == first
    (tmp_path / "keys" / "k1").unlink()
    keys.refresh()
    with pytest.raises(StorageRefused, match=f"id {first.id}.*put that key back") as refused:
        keys.find(first.id)
    assert refused.value.reason is StorageReason.KEY_MISSING
    assert set(keys.ids) == {"k2"}


def test_a_file_that_is_no_key_is_named(tmp_path: Path) -> None:
    """And the others go on."""
    keys = keyring(tmp_path / "keys", k1=RAW, k2=b"passphrase")
    assert keys.problem is not None
    assert "k2" in keys.problem
    assert keys.active_name == "k1"


def test_no_key_encrypts_nothing(tmp_path: Path) -> None:
    """A Secret that is empty, or is not there, is a clear refusal."""
    keys = Keyring(tmp_path / "absent")
    keys.refresh()
    keys.use("k1")
    with pytest.raises(StorageRefused, match="does not hold k1"):
        _ = keys.active
    assert keys.active_name is None
