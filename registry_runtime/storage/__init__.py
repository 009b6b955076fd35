"""Where bytes lie: one protocol, two drivers, a bucket and a directory."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from registry_runtime.contract.config import DirectoryStorage
from registry_runtime.log import fields
from registry_runtime.metrics import Metrics
from registry_runtime.storage.cache import Cache
from registry_runtime.storage.calls import Calls

if TYPE_CHECKING:
    from registry_runtime.contract import config
    from registry_runtime.storage.base import Storage

_log = logging.getLogger(__name__)


async def open_storage(settings: config.Storage, calls: Calls | None = None) -> Storage:
    """The driver that the configuration asks for; nothing is contacted yet. `close()` it in the end.

    `calls` is told of each request to a bucket.
    """
    if isinstance(settings, DirectoryStorage):
        from registry_runtime.storage.directory import Directory  # noqa: PLC0415 - only what is used is loaded

        return Directory(settings.path)
    from registry_runtime.storage.s3 import Bucket  # noqa: PLC0415 - the SDK costs 40 MiB

    return Bucket(settings, calls)


def open_cache(settings: config.Cache | None, metrics: Metrics | None = None) -> Cache | None:
    """The cache of blobs, where one is wanted and its directory can be used: pulls work without it too."""
    if settings is None:
        return None
    try:
        return Cache(settings.path, settings.size, metrics)
    except OSError as error:
        _log.warning("blobs are not cached: the directory fails", extra=fields(error=str(error)))
        return None
