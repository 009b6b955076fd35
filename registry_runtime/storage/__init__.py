"""Where bytes lie: one protocol, two drivers, a bucket and a directory."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from registry_runtime.contract.config import DirectoryStorage
from registry_runtime.log import fields
from registry_runtime.storage.cache import Cache

if TYPE_CHECKING:
    from registry_runtime.contract import config
    from registry_runtime.storage.base import Storage

_log = logging.getLogger(__name__)


async def open_storage(settings: config.Storage) -> Storage:
    """The driver that the configuration asks for; nothing is contacted yet. `close()` it in the end."""
    if isinstance(settings, DirectoryStorage):
        from registry_runtime.storage.directory import Directory  # noqa: PLC0415 - only what is used is loaded

        return Directory(settings.path)
    from registry_runtime.storage.s3 import Bucket  # noqa: PLC0415 - the SDK costs 40 MiB

    return Bucket(settings)


def open_cache(settings: config.Cache | None) -> Cache | None:
    """The cache of blobs, where one is wanted and its directory can be used: pulls work without it too."""
    if settings is None:
        return None
    try:
        return Cache(settings.path, settings.size)
    except OSError as error:
        _log.warning("blobs are not cached: the directory fails", extra=fields(error=str(error)))
        return None
