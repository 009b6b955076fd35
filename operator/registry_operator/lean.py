"""kopf, without the models of every kind of Kubernetes: 41 MiB for what nobody here hands to it.

It imports `kubernetes.client` wherever that is installed, to tell its objects when it is given some; where it
cannot, it goes on without. The library itself stays importable: kubeconfigs are read with it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

MODELS = "kubernetes.client"


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """An import of this module fails for the time of the block, unless it is there already."""
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    if name in modules:
        yield
        return
    modules[name] = None
    try:
        yield
    finally:
        del modules[name]


with _hidden(MODELS):
    import kopf
    from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

__all__ = ["Forgetful", "kopf"]


class Forgetful(ResourceMemories):
    """kopf's memories of objects, for an operator that has no daemons, timers or memos: none.

    kopf keeps 650 bytes of each object for as long as it is there.
    """

    async def recall(self, *args: Any, **options: Any) -> ResourceMemory:
        return await super().recall(*args, **options | {"ephemeral": True})
