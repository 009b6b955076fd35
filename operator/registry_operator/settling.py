"""Which AccessTokens' entries of a policy are in force everywhere, though the policy itself may never be.

With many tokens one policy follows the other faster than replicas report them: no moment comes at which
all have the newest. What matters to a token is that each has one that is at least as new as the token's
last change; what comes after that says the same of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from registry_operator.models import Key
from registry_operator.observed import Propagation

REMEMBERED = 256  # revisions; a replica that reports none of them is behind all


@dataclass
class Settling:
    """Of one Registry."""

    _newest: str = ""
    _number: int = 0  # of the newest revision
    _numbers: dict[str, int] = field(default_factory=dict)  # by revision
    _since: dict[Key, int] = field(default_factory=dict)  # by token that is not settled: its last change

    def __contains__(self, token: Key) -> bool:
        """Whether some replica that serves may not know of the token's last change."""
        return token in self._since

    def see(self, seen: Propagation, changed: Iterable[Key]) -> set[Key]:
        """Returns the tokens that are settled now. `changed` are those whose entry this policy changed."""
        if seen.revision != self._newest:
            self._newest, self._number = seen.revision, self._number + 1
            self._numbers.pop(seen.revision, None)
            self._numbers[seen.revision] = self._number
            if len(self._numbers) > REMEMBERED:
                del self._numbers[next(iter(self._numbers))]
        self._since |= dict.fromkeys(changed, self._number)
        reached = self._reached(seen)
        settled = {token for token, since in self._since.items() if since <= reached}
        for token in settled:
            del self._since[token]
        return settled

    def _reached(self, seen: Propagation) -> int:
        """The revision that every replica that serves has at least; 0 where that is not known."""
        if seen.unasked:
            return 0
        return min((self._numbers.get(one or "", 0) for one in seen.reported.values()), default=0)
