"""The decision and its explanation: those of the runtime, so that both sides never say two things.

The one place where the operator's side knows more of the runtime than their contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from registry_operator.desired import access
from registry_operator.desired.policy import entry, in_force, rules
from registry_operator.models import AccessToken, Key, Namespace, Registry
from registry_operator.names import policies
from registry_operator.observed import KubernetesNamespace, SecretData
from registry_operator.why.seen import Seen, is_bound
from registry_runtime.auth.explain import explain
from registry_runtime.auth.identity import ANYBODY, Endpoint, Identity, service_account
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.credential import token_id
from registry_runtime.contract.policy import Action, Claim, Policy
from registry_runtime.errors import NameInvalid

Domain = Literal["public", "private"]


@dataclass(frozen=True)
class Known:
    """A policy; `in_force` where it is the one that the replicas are given, with hashes of passwords."""

    policy: Policy
    in_force: bool


@dataclass(frozen=True)
class Question:
    """Whether somebody may do this there; `address` is where the request comes from, "" if nobody knows."""

    registry: Registry
    known: Known
    domain: Domain
    repository: str
    action: str = "pull"
    address: str = ""


@dataclass(frozen=True)
class Verdict:
    """`rule` where it is allowed; else a `sentence`, where to mend it, and what to write there."""

    allowed: bool
    reason: str
    rule: str = ""
    sentence: str = ""
    where: str = ""
    yaml: str = ""


def known(seen: Seen, registry: Registry) -> Known:
    """The policy that was written, where all of it may be read; else what the resources declare."""
    observed = seen.observed(registry)
    if all(isinstance(seen.secrets.get(key), SecretData) for key in policies(registry)):
        return Known(in_force(observed), in_force=True)
    tokens = {one.key: one for one in observed.tokens if not one.meta.deleting}
    return Known(_declared(registry, observed.namespaces, tokens), in_force=False)


def _declared(
    registry: Registry, namespaces: tuple[Namespace, ...], tokens: Mapping[Key, AccessToken]
) -> Policy:
    """As the operator renders it: which names are bound, their conditions say.

    Accounts are known by their names here, for their UIDs may be hidden.
    """
    accounts = {one.namespace: KubernetesNamespace(one.namespace, one.namespace) for one in tokens}
    bound = [one for one in namespaces if is_bound(one)]
    owners = {one.key: Claim(account=one.meta.namespace, owner=one.meta.namespace) for one in bound}
    return Policy(
        namespaces={one.spec.name: rules(registry, one, owners[one.key], tokens) for one in bound},
        tokens={
            token_id(one.meta.uid): entry(one, accounts[key.namespace], ()) for key, one in tokens.items()
        },
        oidc=access.oidc(registry),
        kubernetes=access.kubernetes(registry),
        private_only=registry.spec.private_only,
    )


def of_token(id_: str, address: str) -> Identity:
    return Identity(id_, source=address)


def of_service_account(namespace: str, name: str) -> Identity:
    return service_account(namespace, name)


def of_nobody() -> Identity:
    return ANYBODY


def decided(seen: Seen, asked: Question, identity: Identity, called: str = "") -> Verdict:
    """Whether it may; `called` is the name of the AccessToken."""
    try:
        name = RepositoryName.parse(asked.repository)
    except NameInvalid as error:
        return Verdict(False, "NameInvalid", sentence=error.message, where="the name of the image")
    policy = asked.known.policy
    if identity.token is not None and not identity.source:
        policy = _from_anywhere(policy, identity.token)
    door, action = Endpoint(asked.domain), Action(asked.action)
    found = explain(policy, identity, door, name, action, now=seen.now, called=called)
    reason = str(found.decision.reason)
    if found.rule is not None:
        return Verdict(True, reason, found.rule.text)
    assert found.remedy is not None
    return Verdict(False, reason, "", found.remedy.sentence, found.remedy.where, found.remedy.yaml)


def _from_anywhere(policy: Policy, id_: str) -> Policy:
    """Where it is not known from which address it comes, its subnets are not judged."""
    if id_ not in policy.tokens:
        return policy
    wide = policy.tokens[id_].model_copy(update={"networks": ()})
    return policy.model_copy(update={"tokens": {**policy.tokens, id_: wide}})
