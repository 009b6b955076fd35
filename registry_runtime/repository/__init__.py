"""Push, pull, delete, list and check: the registry's rules over its storage; no HTTP words.

`Registry` is the door; everything else here is behind it.
"""

from registry_runtime.repository.registry import Registry
from registry_runtime.repository.uses import Allowance
from registry_runtime.repository.values import OpenBlob, Page, Pushed, StoredManifest, Upload

__all__ = ["Allowance", "OpenBlob", "Page", "Pushed", "Registry", "StoredManifest", "Upload"]
