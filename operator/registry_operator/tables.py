"""Custom resources of one kind, and by what they are found without looking at all of them.

A Registry may have ten thousand AccessTokens, and so may a thousand Registries, of which each calls its own
"ci": a change of one Secret must not cost a look at each of them.
"""

from collections.abc import KeysView, Mapping
from typing import Generic, Protocol, TypeVar

from registry_operator.index import Index
from registry_operator.models import AccessToken, Key, Namespace, Registry, is_older
from registry_operator.relations import registries_of
from registry_runtime.contract.credential import token_id

ANY = ""  # the namespaces of a selector: whichever has the labels
R = TypeVar("R", Registry, Namespace, AccessToken)


class Part(Protocol):
    """What is there because of a Registry."""

    @property
    def registry(self) -> Key: ...


P = TypeVar("P", bound=Part)


class Parts(Generic[P]):
    """Found by name and by the Registry."""

    def __init__(self) -> None:
        self.objects: dict[Key, P] = {}
        self._registries: Index[P, Key] = Index(lambda one: (one.registry,))

    def of(self, registry: Key) -> Mapping[Key, P]:
        """By name. Not to be kept: it changes."""
        return self._registries.get(registry)

    def put(self, key: Key, part: P | None) -> P | None:
        """Returns what was there before."""
        before = self.objects.pop(key, None)
        if part is not None:
            self.objects[key] = part
        self._registries.move(key, before, part)
        return before


class Table(Generic[R]):
    """Found by name, by account and by the Registries that they name."""

    def __init__(self) -> None:
        self.objects: dict[Key, R] = {}
        self._registries: Index[R, Key] = Index(registries_of)
        self._namespaces: Index[R, str] = Index(lambda one: (one.meta.namespace,))

    def within(self, namespace: str) -> tuple[R, ...]:
        """Those of one account."""
        return tuple(self._namespaces.get(namespace).values())

    def namespaces(self) -> KeysView[str]:
        """Where there are any. Not to be kept: it changes."""
        return self._namespaces.values()

    def of(self, registry: Key) -> tuple[R, ...]:
        """Those that name this Registry."""
        return tuple(self.naming(registry).values())

    def naming(self, registry: Key) -> Mapping[Key, R]:
        """The same, by name. Not to be kept: it changes."""
        return self._registries.get(registry)

    def versions(self) -> dict[Key, str]:
        """The resource version of each."""
        return {key: obj.meta.resource_version for key, obj in self.objects.items()}

    def put(self, key: Key, obj: R | None, uid: str = "") -> R | None:
        """Returns what was there before. What is older than that (a late event) changes nothing.

        `uid` is that of the object that is gone, where it is known: its successor stays.
        """
        before = self.objects.get(key)
        if before is not None and obj is None and uid not in {"", before.meta.uid}:
            return before
        if before is not None and obj is not None and is_older(version(obj), version(before)):
            return before
        self.objects.pop(key, None)
        if obj is not None:
            self.objects[key] = obj
        self._moved(key, before, obj)
        return before

    def _moved(self, key: Key, before: R | None, after: R | None) -> None:
        for index in (self._registries, self._namespaces):
            index.move(key, before, after)


class Tokens(Table[AccessToken]):
    """AccessTokens, found by their Secrets too."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: dict[str, Key] = {}  # by the id in their passwords
        self._passwords: Index[AccessToken, Key] = Index(_named_secret)
        self._into: Index[AccessToken, str] = Index(_targets)
        self._pulls: Index[AccessToken, Key] = Index(_pull_secrets)
        self._asking: Index[AccessToken, Key] = Index(_service_accounts)

    def by_id(self, id_: str) -> AccessToken | None:
        """The one with this id in its password."""
        key = self.ids.get(id_)
        return self.objects.get(key) if key is not None else None

    def into(self, namespace: str) -> tuple[AccessToken, ...]:
        """Those whose pull Secrets may belong into this namespace: by its name, or if it has the labels."""
        return tuple({**self._into.get(namespace), **self._into.get(ANY)}.values())

    def selecting(self) -> tuple[AccessToken, ...]:
        """Those that choose namespaces by labels."""
        return tuple(self._into.get(ANY).values())

    def targets(self) -> set[str]:
        """Namespaces that some token names for its pull Secrets."""
        return self._into.values() - {ANY}

    def asking(self, account: Key) -> tuple[AccessToken, ...]:
        """Those that may want to be named in this ServiceAccount."""
        return tuple(_placing(self._asking, account).values())

    def with_password(self, secret: Key) -> tuple[Key, ...]:
        """Those whose password stands in this Secret."""
        own = self.objects.get(secret)
        return (*((secret,) if own and own.secret == secret else ()), *self._passwords.get(secret))

    def with_pull_secret(self, secret: Key) -> tuple[Key, ...]:
        """Those that may want their pull Secret there: what others have in its place stands in its way."""
        return tuple(_placing(self._pulls, secret))

    def _moved(self, key: Key, before: AccessToken | None, after: AccessToken | None) -> None:
        super()._moved(key, before, after)
        if before is not None:
            self.ids.pop(token_id(before.meta.uid), None)
        if after is not None:
            self.ids[token_id(after.meta.uid)] = key
        self._into.move(key, before, after)
        for index in (self._passwords, self._pulls, self._asking):
            index.move(key, before, after)


def _named_secret(token: AccessToken) -> tuple[Key, ...]:
    """Most have the name of their token, and are found by that."""
    return () if token.secret == token.key else (token.secret,)


def _targets(token: AccessToken) -> tuple[str, ...]:
    wanted = token.spec.pull_secrets
    if wanted is None:
        return ()
    return (*(wanted.namespaces or ()), *((ANY,) if wanted.selector is not None else ()))


def _pull_secrets(token: AccessToken) -> tuple[Key, ...]:
    return tuple(Key(namespace, token.pull_secret_name) for namespace in _targets(token))


def _service_accounts(token: AccessToken) -> tuple[Key, ...]:
    accounts = token.spec.pull_secrets.service_accounts if token.spec.pull_secrets is not None else ()
    return tuple(Key(namespace, account) for namespace in _targets(token) for account in accounts)


def _placing(index: Index[AccessToken, Key], key: Key) -> Mapping[Key, AccessToken]:
    """By what they name, or by what has this name in any namespace."""
    return {**index.get(key), **index.get(Key(ANY, key.name))}


def declared(one: R | None) -> tuple[object, ...]:
    """All of it but its status."""
    if one is None:
        return ()
    meta = one.meta
    return meta.uid, meta.generation, meta.deleting, meta.annotations, one.spec


def unchanged(before: R | None, after: R | None) -> bool:
    """Whether it is the object that was known, such as what our own write returned."""
    if before is None or after is None:
        return before is after
    return version(before) == version(after) or is_older(version(after), version(before))


def version(one: R) -> str:
    return one.meta.resource_version
