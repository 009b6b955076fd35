"""From an AccessToken, or a Namespace, to what it may: the end of every chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registry_operator.claims import allowed
from registry_operator.models import AccessToken, Namespace, Registry
from registry_operator.why import decided
from registry_operator.why.decided import Question, Verdict
from registry_operator.why.seen import Seen, is_bound
from registry_runtime.contract.credential import token_id


@dataclass(frozen=True)
class Step:
    """`good` is None for what is neither. `remedy` is a sentence; `yaml` is what to write."""

    good: bool | None
    text: str
    remedy: str = ""
    yaml: str = ""


def of_token(seen: Seen, asked: Question, id_: str) -> Iterator[Step]:
    """From an AccessToken to the decision."""
    token = seen.token(id_)
    broken = _not_of(seen, asked, token) if token is not None else None
    if broken is not None:
        yield broken
        return
    called = token.meta.name if token is not None else ""
    verdict = decided.decided(seen, asked, decided.of_token(id_, asked.address), called)
    yield from of_verdict(seen, asked, verdict)


def _not_of(seen: Seen, asked: Question, token: AccessToken) -> Step | None:
    """Whether the AccessToken is none of this Registry, or not let in, or not in force yet."""
    registry = asked.registry
    if registry.key not in token.registries:
        yaml = f"- name: {registry.meta.name}\n  namespace: {registry.meta.namespace}\n"
        text = f"AccessToken {token.key} is not for Registry {registry.key}"
        return Step(False, text, f"spec.registryRefs of the AccessToken {token.key}", yaml)
    account = seen.accounts.get(token.meta.namespace)
    if account is not None and not allowed(registry, account):
        text = f"Registry {registry.key} does not let the account {account.name} in"
        return Step(False, text, f"spec.allowedNamespaces of Registry {registry.key}, by its owner")
    if asked.known.in_force and token_id(token.meta.uid) not in asked.known.policy.tokens:
        issued = token.status.condition("Issued") or token.status.condition("Ready")
        text = f"AccessToken {token.key} is not in force in Registry {registry.key}"
        if issued is None:
            return Step(False, text, "it has no condition yet: is the operator running?")
        return Step(False, f"{text}: {issued.reason}", issued.message)
    return None


def of_verdict(seen: Seen, asked: Question, verdict: Verdict) -> Iterator[Step]:
    """What was decided; of a name that is not bound, why that is."""
    what = f"{asked.action} {asked.repository}"
    if verdict.allowed:
        yield Step(True, f"it may {what}: {verdict.rule}")
        return
    if verdict.reason == "NamespaceUnbound":
        for claim in seen.claiming(asked.registry, asked.repository.partition("/")[0]):
            yield _unbound(claim)
            return
    text = f"it may not {what}: {verdict.reason}: {verdict.sentence}"
    yield Step(False, text, verdict.where, verdict.yaml)


def of_namespace(seen: Seen, namespace: Namespace) -> Iterator[Step]:
    """Whether it is bound, and to whom it gives what."""
    if not is_bound(namespace):
        yield _unbound(namespace)
        return
    yield Step(True, f"Namespace {namespace.key} has {namespace.spec.name} in Registry {namespace.registry}")
    registry = seen.registries.get(namespace.registry)
    if registry is None:
        yield Step(None, f"you may not see Registry {namespace.registry}: its policy is not known")
        return
    if namespace.spec.private_only or registry.spec.private_only:
        yield Step(None, "only the private domain serves it")
    yield from _given(seen, namespace, registry)


def _unbound(namespace: Namespace) -> Step:
    bound = namespace.status.condition("Bound")
    text = f"Namespace {namespace.key} claims {namespace.spec.name}, and is not bound"
    if bound is None or bound.status == "True":
        return Step(False, text, "the operator has not looked at it yet: is it running?")
    return Step(False, f"{text}: {bound.reason}", bound.message)


def _given(seen: Seen, namespace: Namespace, registry: Registry) -> Iterator[Step]:
    """By the Namespace to subjects, and by their own permissions to the AccessTokens of the account."""
    claim = decided.known(seen, registry).policy.namespaces.get(namespace.spec.name)
    called = {f"token:{token_id(one.meta.uid)}": f"AccessToken {key}" for key, one in seen.tokens.items()}
    for entry in claim.access if claim is not None else ():
        who = ", ".join(called.get(one, one) for one in entry.subjects)
        yield Step(True, f"{who}: {', '.join(sorted(entry.actions))} in {', '.join(entry.repositories)}")
    for token in seen.tokens.values():
        if token.meta.namespace == namespace.meta.namespace and registry.key in token.registries:
            for one in token.spec.permissions:
                what = f"{', '.join(sorted(one.actions))} in {', '.join(one.repositories)}"
                yield Step(True, f"AccessToken {token.key}, of the same account: {what}")
