"""The access policy of a Registry: what is declared in Kubernetes, as its replicas need to know it."""

from __future__ import annotations

import hashlib
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from registry_operator import names
from registry_operator.claims import Outcome, Settlement, allowed, settle
from registry_operator.desired import access, rotation
from registry_operator.desired.encryption import key_use
from registry_operator.models import Image
from registry_operator.observed import Absence, RegistryObserved, SecretData
from registry_runtime.contract.credential import Password, token_id
from registry_runtime.contract.policy import KEY, Claim, Policy, Sparse, Token, Uses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from registry_operator.models import AccessToken, Key, Namespace, Registry
    from registry_operator.observed import KubernetesNamespace

    # A token, its account, and the Secret of its passwords, or their hashes where that cannot be read.
    Parts = tuple[AccessToken, KubernetesNamespace, SecretData | tuple[str, ...]]
    Entries = Callable[[Mapping[str, Parts]], dict[str, Token]]
    Reading = Callable[[Mapping[Key, bytes]], dict[Key, Policy]]


def settlement(observed: RegistryObserved) -> Settlement:
    """Who owns which name."""
    return settle(observed.registry, observed.namespaces, observed.kubernetes_namespaces, observed.claims)


def policy(
    observed: RegistryObserved,
    settled: Settlement,
    entries: Entries | None = None,
    reading: Reading | None = None,
) -> Policy:
    """Names that are bound, the tokens that have a password and are allowed here, and the key in use."""
    before = cache(lambda: in_force(observed, reading))  # seldom needed, and of thousands of tokens long
    made = (entries or _entries)(parts(observed, before))
    carried = unread(observed, before)
    whole = Policy(
        encryption=key_use(observed, before()) if observed.registry.spec.encryption else None,
        oidc=access.oidc(observed.registry),
        kubernetes=access.kubernetes(observed.registry),
        private_only=observed.registry.spec.private_only,
    )
    namespaces = {**carried.namespaces, **bound(observed, settled)}
    tokens = {**carried.tokens, **{id_: one for id_, one in made.items() if one.hashes}}
    return whole.model_copy(update={"namespaces": namespaces, "tokens": tokens})  # all of them are valid


def parts(observed: RegistryObserved, before: Callable[[], Policy]) -> dict[str, Parts]:
    """What entries are made of, by id, for the tokens that stay and whose account is allowed here."""
    accounts = observed.kubernetes_namespaces
    inside = {name for name, account in accounts.items() if allowed(observed.registry, account)}
    found: dict[str, Parts] = {}
    for token in observed.tokens:
        meta = token.meta
        if meta.namespace in inside and not meta.deleting:
            secret = observed.secrets.get(token.secret)
            valid = secret if isinstance(secret, SecretData) else hashes(token, secret, before)
            found[token_id(meta.uid)] = (token, accounts[meta.namespace], valid)
    return found


def entry_of(parts: Parts) -> Token:
    token, account, valid = parts
    return entry(token, account, valid if isinstance(valid, tuple) else hashes(token, valid, Policy))


def _entries(found: Mapping[str, Parts]) -> dict[str, Token]:
    return {id_: entry_of(each) for id_, each in found.items()}


def bound(observed: RegistryObserved, settled: Settlement) -> dict[str, Claim]:
    """The names that are bound, each with the rules of the Namespace that has it."""
    granted = any(one.spec.access for one in observed.namespaces)
    tokens = {token.key: token for token in observed.tokens} if granted else {}
    return {
        one.spec.name: rules(observed.registry, one, settled.bound[one.spec.name], tokens)
        for one in observed.namespaces
        if settled.outcomes.get(one.meta.uid) is Outcome.BOUND
    }


def rules(registry: Registry, namespace: Namespace, claim: Claim, tokens: Mapping[Key, AccessToken]) -> Claim:
    """A claim with what its Namespace says of the repositories."""
    spec = namespace.spec
    return claim.model_copy(
        update={
            "sparse": Sparse(indexes=spec.sparse_indexes, images=spec.sparse_images),
            "access": access.access(registry, namespace, tokens),
            "private_only": spec.private_only,
        }
    )


def unread(observed: RegistryObserved, before: Callable[[], Policy]) -> Policy:
    """Of the policy in force what belongs to resources that cannot be read: nobody took it back.

    Only where the account is still the same one, and is let in. A resource whose last good version is known
    is judged by that.
    """
    if not observed.unreadable:
        return Policy()
    known = {one.meta.uid for one in observed.namespaces} | {one.meta.uid for one in observed.tokens}
    lost = [
        one
        for one in observed.unreadable
        if one.uid not in known and "deletionTimestamp" not in one.raw["metadata"]
    ]
    ids = {token_id(one.uid) for one in lost}
    claims = {(one.name, one.raw["metadata"]["namespace"]) for one in lost}

    def stays(entry: Claim | Token) -> bool:
        account = observed.kubernetes_namespaces.get(entry.account)
        return account is not None and account.uid == entry.owner and allowed(observed.registry, account)

    return Policy(
        namespaces={
            name: one
            for name, one in before().namespaces.items()
            if (name, one.account) in claims and stays(one)
        },
        tokens={id_: one for id_, one in before().tokens.items() if id_ in ids and stays(one)},
    )


def in_force(observed: RegistryObserved, reading: Reading | None = None) -> Policy:
    """What was written last; a shard that is missing, not ours or not readable counts as empty."""
    documents = {}
    for key in names.policies(observed.registry):
        secret = observed.secrets.get(key)
        if isinstance(secret, SecretData) and observed.registry.meta.uid in secret.owners:
            documents[key] = secret.values.get(KEY, b"")
    return Policy.merge(tuple((reading or _read_all)(documents).values()))


def read_shard(document: bytes) -> Policy:
    """What cannot be read says nothing."""
    try:
        return Policy.decode(document)
    except ValueError:
        return Policy()


def _read_all(documents: Mapping[Key, bytes]) -> dict[Key, Policy]:
    return {key: read_shard(document) for key, document in documents.items()}


def hashes(token: AccessToken, secret: SecretData | Absence, before: Callable[[], Policy]) -> tuple[str, ...]:
    """Of the passwords that are valid.

    Where the Secret may not be read, nothing is known of it: what was in force stays so. A consent that is
    withdrawn, or a 403 of an API server that has just started, cuts nobody off.
    """
    if secret is Absence.NOT_PERMITTED:
        known = before().tokens.get(token_id(token.meta.uid))
        return known.hashes if known else ()
    found = rotation.read(token, secret)
    return found.hashes if found else ()


def entry(token: AccessToken, account: KubernetesNamespace, hashes: tuple[str, ...]) -> Token:
    """What every Registry of the token must know of it."""
    return Token(
        account=account.name,
        owner=account.uid,
        hashes=hashes,
        grants=token.grants,
        not_after=token.expires,
        suspended=token.spec.suspended,
        uses=uses(token),
        networks=token.spec.networks,
    )


def uses(token: AccessToken) -> Uses | None:
    """How many images it may push, and what each of them may be."""
    if token.spec.uses is None:
        return None
    image = token.spec.image or Image()
    return Uses(limit=token.spec.uses, repository=image.repository, tag=image.tag, bytes=image.max_bytes)


def password(token: AccessToken, secret: SecretData | Absence) -> Password | None:
    """The password that is given out; None where the Secret holds none that was made for this token."""
    found = rotation.read(token, secret)
    return found.current if found else None


@lru_cache(maxsize=1 << 15)
def shard(key: str, count: int) -> int:
    """Which of so many Secrets holds this entry: by the hash of its key, so that one change rewrites one."""
    return hashlib.sha256(key.encode()).digest()[0] % count
