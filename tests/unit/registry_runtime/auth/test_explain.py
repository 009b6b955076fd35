"""Why: the rule that is named is the one that grants, and what is missing is what mends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from registry_operator.desired.access import ROLES
from registry_operator.models.access_token import ACTIONS

from registry_runtime.auth.decision import Reason, decide
from registry_runtime.auth.explain import Explanation, Rule, Source, explain, manages, told
from registry_runtime.auth.identity import ANYBODY, Endpoint, Identity
from registry_runtime.auth.scope import Scopes
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.policy import Access, Action, Claim, Grant, Policy
from tests.unit.registry_runtime.auth.test_decision import (
    NOW,
    POLICY,
    ROBOT,
    SHARED,
    TOKEN,
    actions,
    identities,
    names,
    policies,
    with_token,
)

APP = RepositoryName("team/app")
POD = Identity(provider="kubernetes", name="shop/web", subjects=frozenset({"serviceaccount:shop/web"}))


def why(
    policy: Policy = POLICY,
    identity: Identity = ROBOT,
    name: str = "team/app",
    action: Action = Action.PULL,
    endpoint: Endpoint = Endpoint.PUBLIC,
) -> Explanation:
    return explain(policy, identity, endpoint, RepositoryName.parse(name), action, now=NOW)


def without(policy: Policy, rule: Rule) -> Policy:
    """The policy less this entry."""

    def less(entries: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*entries[: rule.number], *entries[rule.number + 1 :])

    match rule.source:
        case Source.ANYBODY:
            return policy.model_copy(update={"anonymous": less(policy.anonymous)})
        case Source.ACCESS:
            claim = policy.namespaces[rule.of]
            fewer = claim.model_copy(update={"access": less(claim.access)})
            return policy.model_copy(update={"namespaces": policy.namespaces | {rule.of: fewer}})
        case Source.PERMISSION:
            token = policy.tokens[rule.of]
            fewer_grants = token.model_copy(update={"grants": less(token.grants)})
            return policy.model_copy(update={"tokens": policy.tokens | {rule.of: fewer_grants}})


@given(policies, identities, names, actions, st.sampled_from(Endpoint))
def test_it_says_what_is_decided_and_by_which_rule(
    policy: Policy, identity: Identity, name: str, action: Action, endpoint: Endpoint
) -> None:
    """Always the decision; and without the rule that it names, another one is named, until it is refused."""
    repository = RepositoryName.parse(name)
    while True:
        found = explain(policy, identity, endpoint, repository, action, now=NOW)
        assert found.decision == decide(policy, identity, endpoint, repository, action, now=NOW)
        assert (found.rule is not None, found.remedy is not None) == (found.allowed, not found.allowed)
        if found.rule is None:
            return
        assert action in found.rule.actions
        assert found.rule.text
        policy = without(policy, found.rule)


@given(policies, identities, names, actions, st.sampled_from(Endpoint))
def test_a_stranger_learns_nothing_of_a_namespace(
    policy: Policy, identity: Identity, name: str, action: Action, endpoint: Endpoint
) -> None:
    """Whether another's Namespace is there, and what it gives to others, changes no word of the answer."""
    repository = RepositoryName.parse(name)
    token = policy.tokens.get(identity.token or "")
    claim = policy.namespaces.get(repository.namespace)
    assume(claim is not None and (token is None or claim.owner != token.owner))
    found = explain(policy, identity, endpoint, repository, action, now=NOW)
    assume(not found.allowed and found.decision.reason is not Reason.PRIVATE_ONLY)
    rest = {one: value for one, value in policy.namespaces.items() if one != repository.namespace}
    nobodys = policy.model_copy(update={"namespaces": rest})
    other = explain(nobodys, identity, endpoint, repository, action, now=NOW)
    assume(found.decision.reason not in {Reason.SCOPE_MISSING, Reason.USES_DELETE_NOTHING})
    assert told(found, policy, identity) == told(other, nobodys, identity)


def test_an_owner_is_told_the_permission_that_is_missing() -> None:
    """A robot of the account that has the Namespace: its own permissions, ready to be written."""
    found = told(why(action=Action.DELETE), POLICY, ROBOT)
    assert found.decision.reason is Reason.NOT_GRANTED
    assert found.remedy is not None
    assert found.remedy.where == "spec.permissions of the AccessToken robot"
    assert yaml.safe_load(found.remedy.yaml) == [{"repositories": ["team/app"], "actions": ["delete"]}]


@pytest.mark.parametrize("action", Action)
def test_the_permission_that_is_missing_mends_it(action: Action) -> None:
    """Written as it stands there, the answer is yes."""
    found = why(with_token(grants=()), action=action)
    assert found.remedy is not None
    (entry,) = yaml.safe_load(found.remedy.yaml)
    granted = frozenset[Action]().union(*(ACTIONS[one] for one in entry["actions"]))
    grant = Grant(repositories=tuple(entry["repositories"]), actions=granted)
    assert why(with_token(grants=(grant,)), action=action).allowed


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize(
    ("identity", "subject", "written"),
    [
        (POD, "serviceaccount:shop/web", {"serviceAccount": {"namespace": "shop", "name": "web"}}),
        (Identity("guest"), "token:guest", {"accessToken": {"name": "<name>", "namespace": "b"}}),
    ],
)
def test_the_role_that_is_missing_mends_it(
    identity: Identity, subject: str, written: dict[str, Any], action: Action
) -> None:
    """The least role, on this repository, for this subject."""
    claim = SHARED.namespaces["team"].model_copy(update={"access": ()})
    closed = SHARED.model_copy(update={"namespaces": {"team": claim}})
    found = why(closed, identity, action=action)
    assert found.remedy is not None
    assert "spec.access of the Namespace that claims team" in found.remedy.where
    (entry,) = yaml.safe_load(found.remedy.yaml)
    assert entry["subjects"] == [written]
    made = Access(
        repositories=tuple(entry["repositories"]), actions=ROLES[entry["role"]], subjects=(subject,)
    )
    mended = closed.model_copy(update={"namespaces": {"team": claim.model_copy(update={"access": (made,)})}})
    assert why(mended, identity, action=action).allowed


def test_a_name_that_nobody_claims() -> None:
    """Who may know is told to claim it; a stranger, that nothing grants it."""
    found = why(name="free/app")
    assert found.remedy is not None
    made = yaml.safe_load(found.remedy.yaml.replace("<Registry>", "harbour"))
    assert (made["kind"], made["spec"]["name"], made["metadata"]["namespace"]) == (
        "Namespace",
        "free",
        "team-a",
    )
    assert told(found, POLICY, ROBOT).decision.reason is Reason.NOT_GRANTED


@pytest.mark.parametrize(
    ("policy", "identity", "words"),
    [
        (POLICY, ANYBODY, "log in"),
        (POLICY, Identity("gone"), "conditions"),
        (with_token(suspended=True), ROBOT, "the AccessToken robot"),
        (with_token(not_after=NOW), ROBOT, "spec.expiresAt"),
        (with_token(networks=("10.0.0.0/8",)), replace(ROBOT, source="fd00::1"), "spec.networks"),
        (POLICY, replace(ROBOT, lapsed=1), "token endpoint"),
        (POLICY, replace(ROBOT, scopes=Scopes()), "scope repository:team/app:pull"),
        (POLICY.model_copy(update={"private_only": True}), ROBOT, "private host name"),
        (POLICY, POD, "spec.authentication"),
    ],
)
def test_each_refusal_has_its_remedy(policy: Policy, identity: Identity, words: str) -> None:
    """A place to go to, in words."""
    found = why(policy, identity)
    assert found.remedy is not None
    assert words in f"{found.remedy.where}"


def test_who_manages_a_repository() -> None:
    """All four actions, by a role or as a robot of the owner; and never because anybody may."""
    everything = Grant(repositories=("**",), actions=frozenset(Action))
    manager = with_token(grants=(everything,))
    assert manages(manager, ROBOT, APP, now=NOW)
    assert manages(manager, replace(ROBOT, scopes=Scopes()), APP, now=NOW)
    assert not manages(POLICY, ROBOT, APP, now=NOW)
    assert not manages(manager, ROBOT, RepositoryName("other/app"), now=NOW)
    assert not manages(with_token(grants=(everything,), suspended=True), ROBOT, APP, now=NOW)
    open_to_all = Policy(
        anonymous=(everything,),
        tokens={"robot": TOKEN.model_copy(update={"grants": ()})},
        namespaces={"team": Claim(account="team-a", owner="uid-a")},
    )
    assert not manages(open_to_all, ROBOT, APP, now=NOW)
    assert not manages(open_to_all, ANYBODY, APP, now=NOW)
