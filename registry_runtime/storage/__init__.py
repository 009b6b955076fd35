"""Where bytes lie: one protocol, two drivers, a bucket and a directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_runtime.contract.config import DirectoryStorage

if TYPE_CHECKING:
    from registry_runtime.contract import config
    from registry_runtime.storage.base import Storage


async def open_storage(settings: config.Storage) -> Storage:
    """The driver that the configuration asks for; nothing is contacted yet. `close()` it in the end."""
    if isinstance(settings, DirectoryStorage):
        from registry_runtime.storage.directory import Directory  # noqa: PLC0415 - only what is used is loaded

        return Directory(settings.path)
    from registry_runtime.storage.s3 import Bucket  # noqa: PLC0415 - the SDK costs 40 MiB

    return Bucket(settings)
