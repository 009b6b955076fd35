"""ServiceAccounts as last seen, and which tokens they concern. No I/O.

All of the cluster are kept, each as the few words that `observed.ServiceAccount` has: a token may name any of
them at any time, and what a token that is gone has left must be found wherever it is.
"""

from collections.abc import Iterable, Iterator

from registry_operator.models import AccessToken, Key
from registry_operator.observed import ServiceAccount
from registry_operator.relations import may_target, owner_of


class ServiceAccounts:
    """Found by name, and by the tokens that have an entry in them."""

    def __init__(self) -> None:
        self.objects: dict[Key, ServiceAccount] = {}
        self._listing: dict[str, set[Key]] = {}  # by the UID of the token
        self._asking: dict[str, dict[Key, AccessToken]] = {}  # tokens by the names that their specs ask for

    def listing(self, uid: str) -> frozenset[Key]:
        """Those with an entry of this token."""
        return frozenset(self._listing.get(uid, ()))

    def strays(self, tokens: frozenset[str]) -> dict[tuple[str, str], set[Key]]:
        """Those with entries of tokens that are none of these, by owner and UID as the annotations say."""
        found: dict[tuple[str, str], set[Key]] = {}
        for uid in self._listing.keys() - tokens:
            for key in self._listing[uid]:
                found.setdefault((self.objects[key].placed[uid].owner, uid), set()).add(key)
        return found

    def see_asking(self, before: AccessToken | None, after: AccessToken | None) -> None:
        """A token is there, is changed or is gone."""
        for name, token in _asked(before):
            del self._asking[name][token.key]
            if not self._asking[name]:
                del self._asking[name]
        for name, token in _asked(after):
            self._asking.setdefault(name, {})[token.key] = token

    def see(self, key: Key, seen: ServiceAccount | None) -> set[Key]:
        """Returns the tokens that it concerns. What is older than what is known changes nothing."""
        before = self.objects.get(key)
        if before and seen and _older(seen, before):
            return set()
        self.objects.pop(key, None)
        if seen is not None:
            self.objects[key] = seen
        self._index(key, before, seen)
        if before and seen and (before.pull_secrets, before.placed) == (seen.pull_secrets, seen.placed):
            return set()
        return self._concerned(key, [one for one in (before, seen) if one])

    def _index(self, key: Key, before: ServiceAccount | None, seen: ServiceAccount | None) -> None:
        for uid in before.placed if before else ():
            self._listing[uid].discard(key)
            if not self._listing[uid]:
                del self._listing[uid]
        for uid in seen.placed if seen else ():
            self._listing.setdefault(uid, set()).add(key)

    def _concerned(self, key: Key, seen: Iterable[ServiceAccount]) -> set[Key]:
        owners = (owner_of(entry.owner) for one in seen for entry in one.placed.values())
        asking = self._asking.get(key.name, {}).items()
        there = {one for one, token in asking if may_target(token, key.namespace)}
        return there.union(owner for owner in owners if owner)


def _asked(token: AccessToken | None) -> Iterator[tuple[str, AccessToken]]:
    """The names of ServiceAccounts that the token asks for, each with the token."""
    if token is not None and token.spec.pull_secrets is not None:
        yield from ((name, token) for name in set(token.spec.pull_secrets.service_accounts))


def _older(one: ServiceAccount, other: ServiceAccount) -> bool:
    """By resource version, which is a growing number (KEP-5504)."""
    versions = one.resource_version, other.resource_version
    return all(version.isdigit() for version in versions) and int(versions[0]) < int(versions[1])
