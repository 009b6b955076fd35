"""Keys of a tenant for tests: files, as the kubelet mounts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_runtime.encryption.keys import Keyring

if TYPE_CHECKING:
    from pathlib import Path


def keyring(directory: Path, active: str = "k1", /, **keys: bytes) -> Keyring:
    """Holds these keys, and encrypts with the active one."""
    directory.mkdir(exist_ok=True)
    for name, content in keys.items():
        (directory / name).write_bytes(content)
    made = Keyring(directory)
    made.refresh()
    made.use(active)
    return made
