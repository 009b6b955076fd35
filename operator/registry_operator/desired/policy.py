"""The access policy of a Registry: what is declared in Kubernetes, as its replicas need to know it."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from pydantic import ValidationError

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


def settlement(observed: RegistryObserved) -> Settlement:
    """Who owns which name."""
    return settle(observed.registry, observed.namespaces, observed.kubernetes_namespaces, observed.claims)


def policy(observed: RegistryObserved, settled: Settlement) -> Policy:
    """Names that are bound, the tokens that have a password and are allowed here, and the key in use."""
    before = cache(lambda: in_force(observed))  # seldom needed, and of thousands of tokens long to read
    tokens = {}
    for token in observed.tokens:
        account = observed.kubernetes_namespaces.get(token.meta.namespace)
        valid = hashes(token, observed.secrets.get(token.secret), before)
        if account and valid and allowed(observed.registry, account) and not token.meta.deleting:
            tokens[token_id(token.meta.uid)] = entry(token, account, valid)
    carried = unread(observed, before)
    return Policy(
        namespaces={**carried.namespaces, **bound(observed, settled)},
        tokens={**carried.tokens, **tokens},
        encryption=key_use(observed, before()) if observed.registry.spec.encryption else None,
        oidc=access.oidc(observed.registry),
        kubernetes=access.kubernetes(observed.registry),
        private_only=observed.registry.spec.private_only,
    )


def bound(observed: RegistryObserved, settled: Settlement) -> dict[str, Claim]:
    """The names that are bound, each with the rules of the Namespace that has it."""
    tokens = {token.key: token for token in observed.tokens}
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
    known = {one.meta.uid for one in observed.namespaces} | {one.meta.uid for one in observed.tokens}
    lost = [
        one
        for one in observed.unreadable
        if one.uid not in known and "deletionTimestamp" not in one.raw["metadata"]
    ]
    if not lost:
        return Policy()
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


def in_force(observed: RegistryObserved) -> Policy:
    """What was written last; a shard that is missing, not ours or not readable counts as empty."""
    parts = []
    for key in names.policies(observed.registry):
        secret = observed.secrets.get(key)
        if isinstance(secret, Absence) or observed.registry.meta.uid not in secret.owners:
            continue
        with suppress(ValidationError):
            parts.append(_read(secret.values.get(KEY, b"")))
    return Policy.merge(tuple(parts))


@lru_cache(maxsize=64)
def _read(document: bytes) -> Policy:
    """Raises ValidationError. A shard of thousands of tokens takes long to read, and is seldom another."""
    return Policy.model_validate_json(document)


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


def shards(whole: Policy, count: int) -> tuple[Policy, ...]:
    """The policy cut by the hash of each key, so that one change rewrites one shard."""
    claims: list[dict[str, Claim]] = [{} for _ in range(count)]
    tokens: list[dict[str, Token]] = [{} for _ in range(count)]
    for name, claim in whole.namespaces.items():
        claims[_shard(name, count)][name] = claim
    for name, token in whole.tokens.items():
        tokens[_shard(name, count)][name] = token
    first = whole.model_copy(update={"namespaces": claims[0], "tokens": tokens[0]})  # with what is not keyed
    return (first, *(Policy(namespaces=claims[n], tokens=tokens[n]) for n in range(1, count)))


def _shard(key: str, count: int) -> int:
    return hashlib.sha256(key.encode()).digest()[0] % count
