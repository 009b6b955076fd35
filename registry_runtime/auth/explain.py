"""Why: the decision with the rule that it rests on, or with the rule that is missing.

Built upon `decide`, which alone says yes or no.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from registry_runtime.auth.decision import Decision, Reason, decide, subjects_of
from registry_runtime.auth.globs import matches
from registry_runtime.auth.identity import Endpoint, Identity
from registry_runtime.auth.remedy import RULE_MISSING, Remedy, remedy
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.policy import Action, Grant, Policy


class Source(StrEnum):
    """Where a rule stands."""

    ANYBODY = "anybody"  # what the policy grants without credentials
    ACCESS = "access"  # spec.access of a Namespace
    PERMISSION = "permission"  # spec.permissions of an AccessToken


@dataclass(frozen=True)
class Rule:
    """An entry that grants: the one of this `number`, of the Namespace or AccessToken (its id) `of`.

    `glob` is what matched, `subject` as whom the identity was known.
    """

    source: Source
    of: str
    number: int
    glob: str
    actions: frozenset[Action]
    subject: str = ""

    @property
    def text(self) -> str:
        what = f"{', '.join(sorted(self.actions))} in {self.glob}"
        match self.source:
            case Source.ANYBODY:
                return f"anybody: {what}"
            case Source.ACCESS:
                return f"Namespace {self.of}, spec.access: {self.subject}: {what}"
            case Source.PERMISSION:
                return f"AccessToken {self.of}, spec.permissions[{self.number}]: {what}"


@dataclass(frozen=True)
class Explanation:
    """`rule` where it is allowed, `remedy` where it is not."""

    decision: Decision
    rule: Rule | None
    remedy: Remedy | None

    @property
    def allowed(self) -> bool:
        return self.decision.allowed


def explain(
    policy: Policy,
    identity: Identity,
    endpoint: Endpoint,
    repository: RepositoryName,
    action: Action,
    *,
    now: datetime,
    called: str = "",
) -> Explanation:
    """All that is known of the decision, for who may know it; `called` is the AccessToken's name, or ""."""
    decision = decide(policy, identity, endpoint, repository, action, now=now)
    if decision.allowed:
        return Explanation(decision, next(_rules(policy, identity, repository, action)), None)
    return Explanation(decision, None, remedy(policy, identity, decision, called))


def told(explanation: Explanation, policy: Policy, identity: Identity) -> Explanation:
    """What the identity itself may know: whose a name is, and whether it is anybody's, is not a stranger's.

    Three reasons become one, of which each means the same to who is no owner: nothing grants it to you.
    """
    decision = explanation.decision
    repository = decision.repository
    if decision.reason not in RULE_MISSING or repository is None:
        return explanation
    token = policy.tokens.get(identity.token or "")
    claim = policy.namespaces.get(repository.namespace)
    if token is not None and claim is not None and claim.owner == token.owner:
        return explanation
    hidden = replace(decision, reason=Reason.NOT_GRANTED)
    return Explanation(hidden, None, remedy(policy, identity, hidden, stranger=True))


def manages(policy: Policy, identity: Identity, repository: RepositoryName, *, now: datetime) -> bool:
    """Whether the identity may do everything there, and not only because anybody may.

    Such a one may know of others why they may do it, or not.
    """
    closed, whole = policy.model_copy(update={"anonymous": ()}), replace(identity, scopes=None)
    return not identity.anonymous and all(
        decide(closed, whole, Endpoint.PRIVATE, repository, action, now=now).allowed for action in Action
    )


def _rules(policy: Policy, identity: Identity, repository: RepositoryName, action: Action) -> Iterator[Rule]:
    """Every entry that grants it, in the order in which `decide` looks."""
    yield from _granting(Source.ANYBODY, "", policy.anonymous, repository, action)
    claim = policy.namespaces.get(repository.namespace)
    if claim is None:
        return
    mine = subjects_of(identity)
    for rule in _granting(Source.ACCESS, repository.namespace, claim.access, repository, action):
        known = sorted(mine.intersection(claim.access[rule.number].subjects))
        if known:
            yield replace(rule, subject=known[0])
    token = policy.tokens.get(identity.token or "")
    if token is not None and token.owner == claim.owner:
        yield from _granting(Source.PERMISSION, identity.token or "", token.grants, repository, action)


def _granting(
    source: Source, of: str, grants: Iterable[Grant], repository: RepositoryName, action: Action
) -> Iterator[Rule]:
    for number, grant in enumerate(grants):
        glob = next((glob for glob in grant.repositories if matches(glob, str(repository))), None)
        if glob is not None and action in grant.actions:
            yield Rule(source, of, number, glob, grant.actions)
