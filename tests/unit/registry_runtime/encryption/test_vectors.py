"""The format as it is documented: what was encrypted once must open for ever."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from registry_runtime.content.digest import Digest
from registry_runtime.encryption.envelope import Envelopes
from registry_runtime.encryption.frames import FRAME, Frames
from registry_runtime.encryption.keys import Key
from registry_runtime.encryption.names import HiddenNames
from tests.keys import keyring

VECTORS: dict[str, Any] = json.loads(Path("docs/encryption-vectors.json").read_text())
KEY = VECTORS["key"]


def test_the_id_of_a_key() -> None:
    """It names the key in every record."""
    assert Key.of("k1", KEY["key"].encode()).id == KEY["id"]


def test_the_envelope_opens(tmp_path: Path) -> None:
    """With the key of the record, and with the code of the registry."""
    vector = VECTORS["envelope"]
    salt, sealed = bytes.fromhex(vector["salt"]), bytes.fromhex(vector["sealed"])
    envelopes = Envelopes(keyring(tmp_path, k1=bytes.fromhex(KEY["key"])))
    fields = {"key": KEY["id"], "salt": vector["salt"]}
    assert Key.of("k1", KEY["key"].encode()).derive(salt).hex() == vector["recordKey"]
    assert envelopes.open(vector["place"], fields, sealed) == vector["record"].encode()


def test_the_name_of_a_digest() -> None:
    """It stays what it is, or nothing would be found again."""
    vector = VECTORS["name"]
    names = HiddenNames()
    names.unlock(bytes.fromhex(vector["secret"]))
    assert names(Digest.parse(vector["digest"])) == vector["name"]


def test_the_frames_open() -> None:
    """A whole one and the short last one, each in its place."""
    vector = VECTORS["frames"]
    content = bytes(range(256)) * 1024 + b"abcde"
    assert hashlib.sha256(content).hexdigest() == vector["contentSHA256"]
    nonce, key = bytes.fromhex(vector["firstFrameNonce"]), bytes.fromhex(vector["dataKey"])
    place = bytes.fromhex(vector["uuid"].replace("-", "")) + bytes(8)
    first = nonce + AESGCM(key).encrypt(nonce, content[:FRAME], place)
    assert hashlib.sha256(first).hexdigest() == vector["firstFrameSHA256"]
    opened = bytearray(len(content))
    frames = Frames(key, vector["uuid"])
    frames.open(0, first, memoryview(opened)[:FRAME])
    frames.open(1, bytes.fromhex(vector["lastFrame"]), memoryview(opened)[FRAME:])
    assert opened == content
