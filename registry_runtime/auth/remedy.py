"""What is missing where something was refused: a sentence, where to mend it, and what to write there."""

from __future__ import annotations

import json
from dataclasses import dataclass

from registry_runtime.auth.decision import Decision, Reason
from registry_runtime.auth.identity import Identity
from registry_runtime.auth.scope import asking
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.policy import Action, Policy
from registry_runtime.contract.subject import KUBERNETES

RULE_MISSING = frozenset({Reason.NAMESPACE_UNBOUND, Reason.OTHER_ACCOUNT, Reason.NOT_GRANTED})
_ROLES = {
    Action.PULL: "Reader",
    Action.LIST: "Reader",
    Action.PUSH: "Writer",
    Action.DELETE: "Writer",
}
_SENTENCES = {
    Reason.CREDENTIALS_MISSING: "there are no credentials, and this is not granted to everybody",
    Reason.TOKEN_UNKNOWN: "there is no such AccessToken here, or it has no password yet",
    Reason.TOKEN_SUSPENDED: "the AccessToken is suspended",
    Reason.TOKEN_EXPIRED: "the AccessToken has expired",
    Reason.BEARER_EXPIRED: "the bearer has expired",
    Reason.SCOPE_MISSING: "it is granted, but the bearer was asked for with a narrower scope",
    Reason.NAMESPACE_UNBOUND: "no Namespace claims this name",
    Reason.NETWORK_NOT_ALLOWED: "the AccessToken may not be used from this address",
    Reason.USES_DELETE_NOTHING: "an AccessToken with spec.uses deletes nothing",
    Reason.PROVIDER_UNKNOWN: "the Registry no longer takes the word of this provider",
    Reason.RESERVED: "the registry keeps this name for the checks that it makes of itself",
    Reason.PRIVATE_ONLY: "it is granted, but only the private domain serves it",
    Reason.OTHER_ACCOUNT: "the Namespace belongs to another account, and gives nothing that covers this",
    Reason.NOT_GRANTED: "nothing grants this",
}
_WHERE = {
    Reason.CREDENTIALS_MISSING: "log in with the password of an AccessToken",
    Reason.TOKEN_UNKNOWN: "see to the AccessToken's conditions, and take the password of now from its Secret",
    Reason.TOKEN_SUSPENDED: "the AccessToken {who}",
    Reason.TOKEN_EXPIRED: "spec.expiresAfter or spec.expiresAt of the AccessToken {who}",
    Reason.NETWORK_NOT_ALLOWED: "spec.networks of the AccessToken {who}",
    Reason.SCOPE_MISSING: "ask the token endpoint with the scope {scope}",
    Reason.BEARER_EXPIRED: "ask the token endpoint for another, as clients do by themselves",
    Reason.PROVIDER_UNKNOWN: "put the provider back into spec.authentication of the Registry",
    Reason.USES_DELETE_NOTHING: "use an AccessToken without spec.uses",
    Reason.RESERVED: "use another name",
    Reason.PRIVATE_ONLY: "use the private host name; or unset privateOnly of the Namespace and the Registry",
}


@dataclass(frozen=True)
class Remedy:
    """`yaml` is what to write at the place that `where` names, "" where there is nothing to write."""

    sentence: str
    where: str
    yaml: str = ""


def remedy(
    policy: Policy, identity: Identity, decision: Decision, called: str = "", *, stranger: bool = False
) -> Remedy:
    """Of a refusal. To a `stranger` it is the same whatever the policy says of the Namespace."""
    if decision.reason in RULE_MISSING:
        return _rule(policy, identity, decision, called, stranger=stranger)
    assert decision.repository is not None
    where = _WHERE.get(decision.reason, "docs/access.md says what each reason asks for").format(
        who=called or identity.token, scope=asking(decision.repository, decision.action)
    )
    return Remedy(_sentence(decision), where, _value(decision.reason, identity))


def _rule(policy: Policy, identity: Identity, decision: Decision, called: str, *, stranger: bool) -> Remedy:
    sentence, repository = _sentence(decision), decision.repository
    assert repository is not None
    token = policy.tokens.get(identity.token or "")
    if decision.reason is Reason.NAMESPACE_UNBOUND:
        account = token.account if token is not None else "<account>"
        return Remedy(sentence, "a Namespace in the account's namespace", _namespace(repository, account))
    claim = policy.namespaces.get(repository.namespace)
    own = token is not None and claim is not None and claim.owner == token.owner
    if own and not stranger:
        where = f"spec.permissions of the AccessToken {called or identity.token}"
        return Remedy(sentence, where, _permission(decision))
    where = f"spec.access of the Namespace that claims {repository.namespace}, by its owner"
    return Remedy(sentence, where, _access(policy, identity, repository, decision.action, called))


def _sentence(decision: Decision) -> str:
    return _SENTENCES.get(decision.reason, "it is refused")


def _value(reason: Reason, identity: Identity) -> str:
    """What to write, where that is one line."""
    if reason is Reason.TOKEN_SUSPENDED:
        return "spec:\n  suspended: false\n"
    if reason is Reason.NETWORK_NOT_ALLOWED and identity.source:
        bits = 128 if ":" in identity.source else 32
        return f"- {json.dumps(f'{identity.source}/{bits}')}\n"
    return ""


def _permission(decision: Decision) -> str:
    action = Action.PULL if decision.action is Action.LIST else decision.action  # pull includes lists
    return f"- repositories: [{decision.repository}]\n  actions: [{action}]\n"


def _access(
    policy: Policy, identity: Identity, repository: RepositoryName, action: Action, called: str
) -> str:
    return (
        f"- role: {_ROLES[action]}\n  repositories: [{repository}]\n"
        f"  subjects:\n    - {_subject(policy, identity, called)}\n"
    )


def _subject(policy: Policy, identity: Identity, called: str) -> str:
    if identity.token is not None:
        token = policy.tokens.get(identity.token)
        account = token.account if token is not None else "<account>"
        return f"accessToken: {{name: {called or '<name>'}, namespace: {account}}} # id {identity.token}"
    if identity.provider == KUBERNETES:
        namespace, _, name = identity.name.partition("/")
        return f"serviceAccount: {{namespace: {json.dumps(namespace)}, name: {json.dumps(name)}}}"
    return f"oidc: {{provider: {identity.provider}, user: {json.dumps(identity.name)}}}"


def _namespace(repository: RepositoryName, account: str) -> str:
    name = repository.namespace
    return (
        "apiVersion: roadstead.dev/v1alpha1\nkind: Namespace\n"
        f"metadata: {{name: {json.dumps(name)}, namespace: {json.dumps(account)}}}\n"
        f"spec:\n  registryRef: {{name: <Registry>}}\n  name: {json.dumps(name)}\n"
    )
