"""The encrypted format, as a function of bytes that somebody may have written into the bucket."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from registry_runtime.encryption.frames import FRAME, MORE, Frames
from registry_runtime.encryption.keys import Key, Keyring
from registry_runtime.encryption.vault import Vault
from registry_runtime.errors import StorageRefused
from registry_runtime.storage.base import Found
from registry_runtime.storage.directory import Directory
from registry_runtime.storage.records import Records
from tests.fuzz.formats import Format

Result = TypeVar("Result")
_MASTER = bytes(range(32))
_RECORD = b'{"version":1,"change":"c","size":1}\npayload'
_UUID = str(uuid.UUID(int=7))
_CONTENT = bytes(range(256)) * 2
_SEALED = b"".join(bytes(one) for one in Frames(_MASTER, _UUID).write(0, [_CONTENT]))


class One(Directory):
    """A storage in which every object holds this."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def get(self, key: str) -> Found | None:  # noqa: ARG002 - whatever the key is
        return Found(self._content, '"etag"', datetime.now(UTC))


class Pieces:
    """What a storage streams."""

    def __init__(self, content: bytes, size: int) -> None:
        self._rest, self._size = content, size

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece, self._rest = self._rest[: self._size], self._rest[self._size :]
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        self._rest = b""


def _keyring() -> Keyring:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "k1").write_bytes(_MASTER)
        keys = Keyring(Path(folder))
        keys.refresh()
    keys.use("k1")
    return keys


_VAULT = Vault(_keyring())


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        result: Result = stopped.value
        return result
    raise AssertionError("it waits")


def record(data: bytes) -> bool:
    """A record in clear: read, or refused in a sentence."""
    try:
        found = run(Records(One(data)).read("uploads/x"))
    except StorageRefused:
        return False
    assert found.version is not None
    assert (found.record is None) is (data == b"")
    return True


def envelope(data: bytes) -> bool:
    """A record in an envelope: what was closed, or refused."""
    try:
        found = run(Records(One(data), _VAULT).read("uploads/x"))
    except StorageRefused:
        return False
    assert found.record is None or dict(found.record.fields) == {"size": 1}
    assert (found.record is None) is (data == b"")
    return True


def frames(data: bytes) -> bool:
    """Frames of which somebody changed bits, cut some off, added some: the content, or refused."""
    opened = Frames(_MASTER, _UUID).read(
        Pieces(data[4:], 1 + int.from_bytes(data[:2], "big")), None, len(_CONTENT)
    )
    try:
        content = bytes(run(anext(opened)))
    except StorageRefused:
        return False
    assert content == _CONTENT
    return True


def sizes(data: bytes) -> bool:
    """A size and that of its frames lead to each other."""
    size = int.from_bytes(data[:8], "big")
    form = Frames(_MASTER, _UUID)
    assert form.size(form.stored(size)) == size
    assert form.stored(size) - size == MORE * -(-size // FRAME)
    return True


def key(data: bytes) -> bool:
    try:
        assert len(Key.of("k1", data).id) == 16
    except ValueError:
        return False
    return True


def _closed() -> bytes:
    return b"".join(bytes(one) for one in Records(One(b""), _VAULT)._close("uploads/x", _RECORD))


ENCRYPTED = {
    "record": Format(record, [_RECORD, b'{"version":2}', b"{}\n"]),
    "envelope": Format(envelope, [_closed(), _RECORD]),
    "frames": Format(frames, [b"\0\x10\0\0" + _SEALED, b"\0\x10\0\0"], 700),
    "sizes": Format(sizes, [b"\0\0\0\0\0\4\0\0"], 8),
    "key": Format(key, [_MASTER, _MASTER.hex().encode()], 300),
}
