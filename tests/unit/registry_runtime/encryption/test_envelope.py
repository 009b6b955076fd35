"""Envelopes: they open where they were put, under the key that closed them, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from registry_runtime.contract.state import StorageReason
from registry_runtime.encryption.envelope import Envelopes
from registry_runtime.errors import StorageRefused
from tests.keys import keyring

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {"k1": b"1" * 32, "k2": b"2" * 32}


def test_an_envelope_opens_in_its_place(tmp_path: Path) -> None:
    """Under any key that is held; it never looks the same twice."""
    keys = keyring(tmp_path, **KEYS)
    envelopes = Envelopes(keys)
    fields, sealed = envelopes.close("blobs/x", b"a record")
    assert b"a record" not in sealed
    assert envelopes.close("blobs/x", b"a record") != (fields, sealed)
    keys.use("k2")
    assert envelopes.open("blobs/x", fields, sealed) == b"a record"
    assert not envelopes.current(fields)
    assert envelopes.current(envelopes.close("blobs/x", b"a record")[0])


@pytest.mark.parametrize("harm", ["place", "sealed", "salt", "no salt", "no hex"])
def test_what_was_changed_or_moved_does_not_open(tmp_path: Path, harm: str) -> None:
    """A record cannot be put elsewhere, so no pointer can be made another digest's."""
    envelopes = Envelopes(keyring(tmp_path, **KEYS))
    fields, sealed = envelopes.close("blobs/x", b"a record")
    place = "blobs/y" if harm == "place" else "blobs/x"
    sealed = sealed[:-1] + bytes([sealed[-1] ^ 1]) if harm == "sealed" else sealed
    salt = {"salt": "00" * 24, "no hex": "zz"}.get(harm, fields["salt"])
    changed = {"key": fields["key"]} if harm == "no salt" else {**fields, "salt": salt}
    with pytest.raises(StorageRefused, match=f"{place} is not what") as refused:
        envelopes.open(place, changed, sealed)
    assert refused.value.reason is StorageReason.DAMAGED


def test_a_key_that_is_missing_is_named(tmp_path: Path) -> None:
    """By its id, so that the tenant knows which one to put back."""
    fields, sealed = Envelopes(keyring(tmp_path / "one", k1=b"1" * 32)).close("x", b"a record")
    with pytest.raises(StorageRefused, match=fields["key"]) as refused:
        Envelopes(keyring(tmp_path / "two", k1=b"2" * 32)).open("x", fields, sealed)
    assert refused.value.reason is StorageReason.KEY_MISSING
