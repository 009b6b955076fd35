"""Who owns a name in a Registry: the first claim wins, and keeps what it won.

An owner that was once persisted (ConfigMap `names.claims`: name → `{"account", "owner"}`) wins over all.
Else the oldest claim wins, then the smallest UID. A name keeps its owner when its Namespace is deleted:
the content is still in the bucket, and must not be inherited. The Registry's owner releases such a name by
the annotation `names.RELEASE` (names, separated by commas); a name that is claimed by its owner stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from pydantic import ValidationError

from registry_operator import names
from registry_operator.models import Namespace, Registry
from registry_operator.observed import KubernetesNamespace
from registry_runtime.contract.policy import Claim


class Outcome(StrEnum):
    """Reasons of a Namespace's condition Bound."""

    BOUND = "Bound"
    NAME_TAKEN = "NameTaken"  # another account owns it
    OWNER_CHANGED = "OwnerChanged"  # this account, but its Kubernetes namespace was made again
    DUPLICATE = "DuplicateClaim"  # another Namespace of the same account has it
    NOT_ALLOWED = "NotAllowed"  # by spec.allowedNamespaces of the Registry
    PENDING = "Pending"  # it wins, but the claim is not persisted yet


@dataclass(frozen=True)
class Settlement:
    """What became of every claim on a Registry. `data` is what its ConfigMap must hold."""

    outcomes: Mapping[str, Outcome]  # by UID of the Namespace
    bound: Mapping[str, Claim]  # by name: claims of Namespaces that are there, for the policy
    owners: Mapping[str, Claim]  # by name: all, also of those that are gone

    @property
    def data(self) -> dict[str, str]:
        return {
            name: owner.model_dump_json(exclude_defaults=True) for name, owner in sorted(self.owners.items())
        }


def settle(
    registry: Registry,
    namespaces: Iterable[Namespace],
    accounts: Mapping[str, KubernetesNamespace],
    persisted: Mapping[str, str],
) -> Settlement:
    """Decides all claims on one Registry. The outcome of a name depends on the claims on that name only."""
    outcomes: dict[str, Outcome] = {}
    owners = _read(persisted)
    bound: dict[str, Claim] = {}
    rivals: dict[str, list[Namespace]] = {}
    for namespace in sorted(namespaces, key=lambda one: (one.meta.created, one.meta.uid)):
        if namespace.meta.deleting:
            continue
        if not allowed(registry, accounts.get(namespace.meta.namespace)):
            outcomes[namespace.meta.uid] = Outcome.NOT_ALLOWED
        else:
            rivals.setdefault(namespace.spec.name, []).append(namespace)
    for name, claimants in rivals.items():
        owner = _owner(owners.get(name), claimants, accounts, released=name in released(registry))
        owners[name] = owner
        for claimant in claimants:
            outcome = _outcome(owner, accounts[claimant.meta.namespace], taken=name in bound)
            outcomes[claimant.meta.uid] = outcome
            if outcome is Outcome.BOUND:
                bound[name] = owner
    return Settlement(outcomes, bound, owners)


def allowed(registry: Registry, account: KubernetesNamespace | None) -> bool:
    """Whether the Registry's `spec.allowedNamespaces` lets this Kubernetes namespace in."""
    if account is None or account.terminating:
        return False
    rule = registry.spec.allowed_namespaces
    match rule.from_:
        case "All":
            return True
        case "Same":
            return account.name == registry.meta.namespace
        case "Selector":
            return rule.selector is not None and rule.selector.matches(account.labels)


def owner_of(name: str, persisted: Mapping[str, str]) -> Claim | None:
    """Whose the name is, by what the ConfigMap says."""
    return _read({name: persisted[name]})[name] if name in persisted else None


def released(registry: Registry) -> frozenset[str]:
    """Names that may change their owner."""
    words = registry.meta.annotations.get(names.RELEASE, "").split(",")
    return frozenset(word.strip() for word in words if word.strip())


def _owner(
    persisted: Claim | None,
    claimants: list[Namespace],
    accounts: Mapping[str, KubernetesNamespace],
    *,
    released: bool,
) -> Claim:
    claims = [_claim(accounts[claimant.meta.namespace]) for claimant in claimants]
    if persisted is None or (released and persisted not in claims):
        return claims[0]
    return persisted


def _outcome(owner: Claim, account: KubernetesNamespace, *, taken: bool) -> Outcome:
    if owner.account != account.name:
        return Outcome.NAME_TAKEN
    if owner.owner != account.uid:
        return Outcome.OWNER_CHANGED
    return Outcome.DUPLICATE if taken else Outcome.BOUND


def _claim(account: KubernetesNamespace) -> Claim:
    return Claim(account=account.name, owner=account.uid)


def _read(persisted: Mapping[str, str]) -> dict[str, Claim]:
    """What cannot be read (edited by hand) owns its name for nobody: releasing it is the way out."""
    return {name: _read_one(text) for name, text in persisted.items()}


@lru_cache(maxsize=1 << 12)
def _read_one(text: str) -> Claim:
    try:
        return Claim.model_validate_json(text)
    except ValidationError:
        return Claim(account="", owner="")
