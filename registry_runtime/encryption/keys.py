"""The tenant's keys: files of a mounted Secret, read again as they change.

A key never encrypts anything itself: each record has a key of its own, derived with a random salt.
The id tells keys apart and nothing else of them, so it may stand in records, in logs and in the status.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused

if TYPE_CHECKING:
    from pathlib import Path

BYTES = 32
_HEX = 2 * BYTES
_ID_BYTES = 8
_MOST = 256  # bytes of a file that may be a key


@dataclass(frozen=True)
class Key:
    """One of the tenant's keys, by its name in the Secret; `id` is 16 hex digits."""

    name: str
    id: str
    _master: bytes = field(repr=False)

    @classmethod
    def of(cls, name: str, content: bytes) -> Key:
        """From 32 bytes as they are, as base64, or in hex. Raises ValueError."""
        master = _decoded(content)
        return cls(name, _expand(master, b"roadstead key id", _ID_BYTES).hex(), master)

    def derive(self, salt: bytes) -> bytes:
        """A key of 32 bytes for one record (HKDF-Expand with SHA-256, RFC 5869 section 2.3)."""
        return _expand(self._master, b"roadstead record" + salt, BYTES)


class Keyring:
    """The keys that are held, and the one that encrypts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[str, bytes] = {}
        self._keys: dict[str, Key] = {}
        self._problems: dict[str, str] = {}
        self._wanted: tuple[str, str] | None = None
        self._active: str | None = None

    def refresh(self) -> None:
        """Looks at the files: cheap, to be called every second."""
        files = _read(self._directory)
        if files == self._files:
            return
        self._files, self._keys, self._problems = files, {}, {}
        for name, content in files.items():
            try:
                self._keys[name] = Key.of(name, content)
            except ValueError as error:
                self._problems[name] = f"the key {name} cannot be used: {error}"
        if self._wanted is not None:
            self.use(*self._wanted)

    def use(self, name: str, identity: str = "") -> None:
        """Lets this key encrypt as soon as it is held; until then the one before goes on.

        What stands under the name with another id than `identity` never encrypts: a key was written over.
        """
        self._wanted = (name, identity)
        if name in self._keys and identity in {"", self._keys[name].id}:
            self._active = name
        elif self._active == name:
            self._active = None

    @property
    def active(self) -> Key:
        """The key that encrypts. Raises StorageRefused."""
        if self._active is None or self._active not in self._keys:
            raise StorageRefused(
                "no key encrypts: the Secret of the keys does not hold "
                f"{self._wanted[0] if self._wanted else 'any that is in use'}; put it there "
                "(32 bytes, raw, as base64 or in hex)",
                StorageReason.KEY_MISSING,
            )
        return self._keys[self._active]

    def find(self, identity: str) -> Key:
        """The key with this id. Raises StorageRefused."""
        for key in self._keys.values():
            if key.id == identity:
                return key
        raise StorageRefused(
            f"the storage is encrypted under the key with the id {identity}, and the Secret of the keys does "
            f"not hold it (it holds {self._held() or 'none'}); put that key back",
            StorageReason.KEY_MISSING,
        )

    @property
    def ids(self) -> dict[str, str]:
        """Ids by name."""
        return {name: key.id for name, key in sorted(self._keys.items())}

    @property
    def active_name(self) -> str | None:
        return self._active if self._active in self._keys else None

    @property
    def problem(self) -> str | None:
        """What is wrong with keys, and the remedy."""
        problems = [*self._problems.values()]
        if self._wanted is not None and self.active_name != self._wanted[0]:
            name, identity = self._wanted
            which = f"{name} with the id {identity}" if identity else name
            problems.append(f"the key {which} is to encrypt, and the Secret does not hold it")
        return "; ".join(problems) or None

    def _held(self) -> str:
        return ", ".join(f"{name} with the id {identity}" for name, identity in self.ids.items())


def _read(directory: Path) -> dict[str, bytes]:
    """Files by name; what the kubelet keeps beside them begins with two dots."""
    try:
        files = sorted(file for file in directory.iterdir() if not file.name.startswith("."))
        return {file.name: _start(file) for file in files if file.is_file()}
    except OSError:
        return {}


def _start(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(_MOST + 1)


def _decoded(content: bytes) -> bytes:
    if len(content) == BYTES:
        return content
    text = content.strip()
    try:
        if len(text) == _HEX:
            return bytes.fromhex(text.decode("ascii"))
        decoded = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        decoded = b""
    if len(decoded) != BYTES:
        raise ValueError("it has to have 32 bytes: as they are, as base64 or in hex")
    return decoded


def _expand(master: bytes, info: bytes, length: int) -> bytes:
    return HKDFExpand(SHA256(), length, info).derive(master)
