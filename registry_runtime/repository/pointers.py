from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry_runtime.repository.pointers import Pointers
    from registry_runtime.storage.records import Records


class Pointers:
    def __init__(self, records: Records) -> None: ...
