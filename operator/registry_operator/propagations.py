"""How long a policy takes to every replica, as the operator sees it."""

import time
from collections.abc import Callable

from registry_operator.models import Key


class Propagations:
    """Tells the seconds from writing a policy to each replica's word that it is in force.

    Only replicas that had another one before count: a new pod, or the first look of a new operator, says
    nothing of how fast a change is.
    """

    def __init__(self, took: Callable[[float], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._took = took
        self._clock = clock
        self._written: dict[Key, tuple[str, float]] = {}  # the newest revision, and when it was written
        self._told: dict[Key, dict[str, str | None]] = {}  # what each pod said last

    def write(self, registry: Key, revision: str) -> None:
        """This revision is being written."""
        before = self._written.get(registry)
        if before is None or before[0] != revision:
            self._written[registry] = (revision, self._clock())

    def hear(self, registry: Key, pod: str, revision: str | None) -> None:
        """A replica says which revision it has."""
        pods = self._told.setdefault(registry, {})
        before, pods[pod] = pods.get(pod), revision
        written = self._written.get(registry)
        if before is not None and written is not None and before != revision == written[0]:
            self._took(self._clock() - written[1])

    def forget_pod(self, registry: Key, pod: str) -> None:
        self._told.get(registry, {}).pop(pod, None)

    def forget(self, registry: Key) -> None:
        self._written.pop(registry, None)
        self._told.pop(registry, None)
