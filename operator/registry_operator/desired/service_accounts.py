"""The `imagePullSecrets` of ServiceAccounts: which of them name a token's pull secret, and what is written.

The list is atomic to server-side apply, so nobody can own one entry of it. An annotation for each token says
which entry it placed; what has none is somebody else's and stays, also where it is the same name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry_operator import names
from registry_operator.desired.access_token import is_writable, targets
from registry_operator.desired.consent import takes
from registry_operator.models import AccessToken, Key
from registry_operator.observed import PlacedEntry, SecretData, ServiceAccount

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from registry_operator.observed import TokenObserved


@dataclass(frozen=True)
class Edit:
    """One ServiceAccount as it should be: all names in its list, and the token's annotation (None: none)."""

    key: Key
    seen: ServiceAccount
    pull_secrets: tuple[str, ...]
    token: str  # its UID
    placed: PlacedEntry | None

    @property
    def is_repair(self) -> bool:
        """Whether another hand took out what the token had placed."""
        before = self.seen.placed.get(self.token)
        return before is not None and before == self.placed and before.secret not in self.seen.pull_secrets

    @property
    def patch(self) -> dict[str, Any]:
        """A merge patch of the ServiceAccount that was seen."""
        mark = f"{self.placed.secret} {self.placed.owner}" if self.placed else None
        annotations = {names.IMAGE_PULL_SECRETS + self.token: mark}
        return {
            "metadata": {"annotations": annotations},
            "imagePullSecrets": [{"name": name} for name in self.pull_secrets],
        }


def wanted(observed: TokenObserved) -> tuple[Key, ...]:
    """ServiceAccounts that should name the pull secret, those that are not there yet included."""
    pulls = observed.token.spec.pull_secrets
    if pulls is None:
        return ()
    return tuple(
        Key(target.namespace, name)
        for target in targets(observed)
        if target.namespace in observed.kubernetes_namespaces
        and takes(observed, target)
        and is_writable(observed.token, observed.secrets.get(target))
        for name in sorted(pulls.service_accounts)
    )


def naming(observed: TokenObserved, accounts: Iterable[Key]) -> tuple[Key, ...]:
    """Those of these ServiceAccounts that do name it, whoever put it there."""
    secret, found = observed.token.pull_secret_name, observed.service_accounts
    return tuple(key for key in accounts if key in found and secret in found[key].pull_secrets)


def edits(observed: TokenObserved) -> tuple[Edit, ...]:
    """What is to be written now, where the namespace gives the right to. The Secret itself comes first."""
    token, found = observed.token, observed.service_accounts
    entry = PlacedEntry(token.pull_secret_name, f"{AccessToken.KIND} {token.key}")
    entries: dict[Key, PlacedEntry | None] = dict.fromkeys(observed.listing)
    for key in wanted(observed):
        secret = observed.secrets.get(Key(key.namespace, entry.secret))
        if key in entries or isinstance(secret, SecretData):
            entries[key] = entry
    made = [
        edit(found, key, token.meta.uid, wish)
        for key, wish in sorted(entries.items())
        if key.namespace not in observed.secrets.refused
    ]
    return tuple(one for one in made if one is not None)


def edit(found: Mapping[Key, ServiceAccount], key: Key, uid: str, wish: PlacedEntry | None) -> Edit | None:
    """With this entry of the token, or without any; None where it is so, or there is no ServiceAccount."""
    account = found.get(key)
    if account is None:
        return None
    before = account.placed.get(uid)
    shared = {one.secret for other, one in account.placed.items() if other != uid}
    secrets = account.pull_secrets
    if before and before.secret not in shared and (wish is None or wish.secret != before.secret):
        secrets = tuple(name for name in secrets if name != before.secret)
    if wish and wish.secret not in secrets:
        secrets = (*secrets, wish.secret)
    elif wish and wish.secret not in shared and (before is None or before.secret != wish.secret):
        wish = None  # somebody put this name there: it is not ours to take away
    if (secrets, wish) == (account.pull_secrets, before):
        return None
    return Edit(key, account, secrets, uid, wish)
