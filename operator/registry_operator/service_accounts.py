"""ServiceAccounts as last seen, found by the tokens that have an entry in their `imagePullSecrets`. No I/O.

All of the cluster are kept, each as the few words that `observed.ServiceAccount` has: a token may name any of
them at any time, and what a token that is gone has left must be found wherever it is.
"""

from registry_operator.index import Index
from registry_operator.models import Key, is_older
from registry_operator.observed import ServiceAccount


class ServiceAccounts:
    """Found by name, and by the UIDs of tokens."""

    def __init__(self) -> None:
        self.objects: dict[Key, ServiceAccount] = {}
        self._listing: Index[ServiceAccount, str] = Index(lambda one: one.placed)  # by the UID of the token

    def listing(self, uid: str) -> frozenset[Key]:
        """Those with an entry of this token."""
        return frozenset(self._listing.get(uid))

    def strays(self, tokens: frozenset[str]) -> dict[tuple[str, str], set[Key]]:
        """Those with entries of tokens that are none of these, by owner and UID as the annotations say."""
        found: dict[tuple[str, str], set[Key]] = {}
        for uid in self._listing.values() - tokens:
            for key, one in self._listing.get(uid).items():
                found.setdefault((one.placed[uid].owner, uid), set()).add(key)
        return found

    def put(self, key: Key, seen: ServiceAccount | None) -> tuple[ServiceAccount, ...]:
        """Returns it as it was and as it is, so far as it was there; empty if that is the same for tokens.

        What is older than what is known (a late event) changes nothing.
        """
        before = self.objects.get(key)
        if before and seen and is_older(seen.resource_version, before.resource_version):
            return ()
        self.objects.pop(key, None)
        if seen is not None:
            self.objects[key] = seen
        self._listing.move(key, before, seen)
        if before and seen and (before.pull_secrets, before.placed) == (seen.pull_secrets, seen.placed):
            return ()
        return tuple(one for one in (before, seen) if one is not None)
