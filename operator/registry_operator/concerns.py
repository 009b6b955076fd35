"""Which Secrets some resource names, and whom a change of one, or of the right to read them, concerns."""

from collections.abc import Iterable
from dataclasses import dataclass

from registry_operator import names
from registry_operator.cache import Cache, access
from registry_operator.models import Key, Selector
from registry_operator.observed import SecretData
from registry_operator.queue import Kind, Work
from registry_operator.relations import owner_of, references
from registry_runtime.contract.credential import token_id


@dataclass(frozen=True)
class Concerns:
    """By what is known now: it keeps nothing."""

    cache: Cache

    def of_secret(self, key: Key, states: Iterable[SecretData | None]) -> set[Work]:
        """A Secret was made, changed or removed; `states` are it before and after, if it was there."""
        work: set[Work] = set()
        seen = [one for one in states if one is not None]
        for data in seen:
            if data.labels.get(names.NAME) == names.RUNTIME and names.INSTANCE in data.labels:
                work.add(Work(Kind.REGISTRY, key.namespace, data.labels[names.INSTANCE]))
        owners = {data.labels.get(names.OWNER_UID, "") for data in seen} - {""}
        ours = (token for token in map(self.cache.tokens.by_id, map(token_id, owners)) if token is not None)
        mine = self.cache.tokens.with_password(key)
        for token in {*mine, *self.cache.tokens.with_pull_secret(key), *(one.key for one in ours)}:
            work.add(Work(Kind.ACCESS_TOKEN, *token))
        for token in mine:
            for registry in self.cache.tokens.objects[token].registries:
                work |= access(registry)
        for data in seen:  # of a token that went before its Secret was seen
            owner = owner_of(data.annotations.get(names.OWNER, ""))
            if owner is not None and owner not in self.cache.tokens.objects:
                work.add(Work(Kind.ACCESS_TOKEN, *owner))
        for one in self.cache.registries.within(key.namespace):
            if key.name in references(one):
                work.add(Work(Kind.REGISTRY, *one.key))
        return work

    def of_consent(self, namespace: str) -> set[Work]:
        """The Secrets of a namespace can be read, for the first time or again, or no longer."""
        work = {Work(Kind.REGISTRY, *one.key) for one in self.cache.registries.within(namespace)}
        for token in self.cache.tokens.into(namespace):
            work.add(Work(Kind.ACCESS_TOKEN, *token.key))
        for token in self.cache.tokens.within(namespace):
            work.add(Work(Kind.ACCESS_TOKEN, *token.key))
            work |= {Work(Kind.REGISTRY, *registry) for registry in token.registries}
        return work | {
            Work(Kind.POLICY, one.namespace, one.name) for one in work if one.kind is Kind.REGISTRY
        }

    def wants_secret(self, key: Key) -> bool:
        """Whether some resource names this Secret: as the user's, or as one that we would write."""
        return (
            bool(self.cache.tokens.with_password(key))
            or bool(self.cache.tokens.with_pull_secret(key))
            or any(key.name in references(one) for one in self.cache.registries.within(key.namespace))
        )

    def wanted_secrets(self, namespace: str) -> frozenset[str]:
        """Names of all these Secrets of a namespace."""
        wanted = set[str]().union(*map(references, self.cache.registries.within(namespace)))
        wanted |= {token.secret.name for token in self.cache.tokens.within(namespace)}
        wanted |= {one.pull_secret_name for one in self.cache.tokens.into(namespace)}
        return frozenset(wanted)

    def namespaces(self) -> set[str]:
        """Where there are Registries or AccessTokens, and the targets of pull secrets."""
        accounts, tokens = self.cache.accounts, self.cache.tokens
        found = {*self.cache.registries.namespaces(), *tokens.namespaces(), *tokens.targets()}
        selectors = set[Selector]()  # of many tokens a few: each is asked of each account
        for token in tokens.selecting():
            if (wanted := token.spec.pull_secrets) and wanted.selector:
                selectors.add(wanted.selector)
        for selector in selectors:
            found |= {one.name for one in accounts.values() if selector.matches(one.labels)}
        return found & accounts.keys()
