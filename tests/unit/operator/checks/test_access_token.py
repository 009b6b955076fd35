"""The status of an AccessToken."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from registry_operator.checks.access_token import due, judge
from registry_operator.checks.propagation import propagation
from registry_operator.desired.access_token import render
from registry_operator.models import AccessTokenStatus, Key, Targets
from registry_operator.names import SECRETS_ROLE
from registry_operator.observed import SecretData, SecretView, TokenActivity, TokenObserved

from registry_runtime.contract.credential import token_id
from tests.unit.operator.harbour import (
    MADE,
    NOW,
    SETTINGS,
    accounts,
    consents,
    observed,
    placed,
    registry,
    running,
    token,
)
from tests.unit.operator.kstatus import kstatus


def issued(**spec: Any) -> TokenObserved:
    """A token whose Secrets are written and whose policy is in force on three replicas."""
    of, known = registry(), accounts("shop")
    fresh = TokenObserved(
        token(**spec), NOW, registries={of.key: of}, kubernetes_namespaces=known, consents=consents("shop")
    )
    secrets = SecretView(placed(fresh.token, render(fresh)))
    everywhere = observed(of, tokens=(fresh.token,), kubernetes_namespaces=known)
    everywhere = replace(everywhere, secrets=SecretView({**everywhere.secrets.found, **secrets.found}))
    seen, rendered = running(everywhere)
    return replace(fresh, secrets=secrets, propagations={of.key: propagation(seen, rendered)})


def status(seen: TokenObserved) -> AccessTokenStatus:
    return judge(seen, SETTINGS)


def said(seen: TokenObserved) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.reason) for one in status(seen).conditions}


def message(seen: TokenObserved, kind: str) -> str:
    found = status(seen).condition(kind)
    assert found
    return found.message


def kstatus_of(seen: TokenObserved) -> str:
    return kstatus(seen.token.meta.generation, status(seen).document())


def written(seen: TokenObserved) -> TokenObserved:
    """The same, after its status was written."""
    return replace(seen, token=replace(seen.token, status=status(seen)))


def without(seen: TokenObserved, *names: str) -> TokenObserved:
    """The same without the Secrets of these names."""
    found = {key: value for key, value in seen.secrets.found.items() if key.name not in names}
    return replace(seen, secrets=replace(seen.secrets, found=found))


PULLS = {"namespaces": ["shop"]}


def test_a_token_that_works_everywhere_is_ready() -> None:
    """Issued, distributed, in force; the status has the id, the Secret's name and no password."""
    seen = issued(pullSecrets=PULLS)
    assert said(seen) == {
        "Ready": ("True", "InForce"),
        "Reconciling": ("False", "InForce"),
        "Stalled": ("False", "InForce"),
        "Issued": ("True", "Issued"),
        "Distributed": ("True", "Distributed"),
        "Expiring": ("False", "NeverExpires"),
    }
    document = status(seen).document()
    assert document["id"] == token_id("uid-harbour-deployer")
    assert document["secretName"] == "deployer"
    assert document["targets"] == {"wanted": 1, "reached": 1}
    assert "rst_" not in str(document)
    assert kstatus_of(seen) == "Current"
    assert status(written(seen)) == status(seen)


def test_before_its_secret_is_there_nothing_is_issued() -> None:
    """And what is in force is another question."""
    seen = without(issued(), "deployer")
    assert said(seen)["Issued"] == ("Unknown", "Pending")
    assert said(seen)["Ready"] == ("Unknown", "Pending")
    assert kstatus_of(seen) == "InProgress"


def test_a_namespace_that_has_not_opted_in_gets_the_command() -> None:
    """For the token's own namespace and for a target, each on a line that can be copied."""
    seen = issued(pullSecrets=PULLS)
    own = replace(seen, secrets=SecretView(seen.secrets.found, frozenset({"harbour"})))
    assert said(own)["Issued"] == said(own)["Ready"] == ("False", "SecretsNotPermitted")
    assert SETTINGS.grant("harbour", SECRETS_ROLE) in message(own, "Issued").splitlines()
    target = replace(seen, secrets=SecretView(seen.secrets.found, frozenset({"shop"})))
    assert said(target)["Issued"] == ("True", "Issued")
    assert said(target)["Distributed"] == said(target)["Ready"] == ("False", "SecretsNotPermitted")
    assert SETTINGS.grant("shop", SECRETS_ROLE) in message(target, "Distributed").splitlines()
    assert kstatus_of(target) == "Failed"
    assert status(target).targets == Targets(wanted=1, reached=0)


def test_many_commands_are_cut_short() -> None:
    """A selector that means a hundred namespaces does not fill the status."""
    names = [f"n{number:03}" for number in range(100)]
    seen = issued(pullSecrets={"namespaces": names})
    refused = replace(
        seen, kubernetes_namespaces=accounts(*names), secrets=SecretView(seen.secrets.found, frozenset(names))
    )
    text = message(refused, "Distributed")
    assert text.count("kubectl create rolebinding") == 3
    assert "97 more" in text


@pytest.mark.parametrize("name", ["deployer", "deployer-pull"])
def test_a_secret_of_another_is_a_conflict(name: str) -> None:
    """Roadstead overwrites nothing that it did not make."""
    seen = issued(pullSecrets={"namespaces": ["harbour"]})
    found = {**seen.secrets.found, Key("harbour", name): SecretData({})}
    taken = replace(seen, secrets=SecretView(found))
    assert said(taken)["Ready"] == ("False", "NameConflict")
    assert f"Secret harbour/{name}" in message(taken, "Ready")


def test_a_target_that_is_not_there_or_not_reached_yet() -> None:
    """Both mend by themselves as soon as they can."""
    missing = issued(pullSecrets={"namespaces": ["nowhere", "shop"]})
    assert said(missing)["Distributed"] == ("False", "NamespaceNotFound")
    assert "nowhere" in message(missing, "Distributed")
    waiting = without(issued(pullSecrets=PULLS), "deployer-pull")
    assert said(waiting)["Distributed"] == ("False", "Distributing")
    assert kstatus_of(waiting) == "InProgress"


def test_an_old_password_in_a_pull_secret_does_not_count() -> None:
    """Reached means: with what works now."""
    seen = issued(pullSecrets=PULLS)
    key = Key("shop", "deployer-pull")
    stale = replace(seen.secrets.found[key], values={".dockerconfigjson": b"{}"})
    old = replace(seen, secrets=SecretView({**seen.secrets.found, key: stale}))
    assert said(old)["Distributed"] == ("False", "Distributing")


def test_registries_that_are_missing_or_closed() -> None:
    """Each is named, and the second says who may mend it."""
    seen = issued()
    assert said(replace(seen, registries={}))["Ready"] == ("False", "RegistryNotFound")
    closed = registry(allowedNamespaces={"from": "Selector", "selector": {"matchLabels": {"a": "b"}}})
    assert said(replace(seen, registries={closed.key: closed}))["Ready"] == ("False", "NotAllowed")
    assert said(seen)["Distributed"] == ("True", "NotAsked")


def test_ready_means_every_replica_of_every_registry() -> None:
    """One that is behind holds it back the first time; later changes of the policy do not."""
    seen = issued()
    ((key, reached),) = seen.propagations.items()
    behind = replace(seen, propagations={key: replace(reached, reported={"harbour-0": "old"})})
    assert said(behind)["Ready"] == ("False", "Propagating")
    assert said(replace(behind, token=written(seen).token))["Ready"] == ("True", "InForce")


def test_another_password_or_spec_is_not_in_force_by_an_old_word() -> None:
    """What the replicas hold must be what is declared now."""
    seen = written(issued())
    (renewed,) = render(replace(seen, secrets=SecretView()))
    fresh = replace(seen, secrets=SecretView(placed(seen.token, [renewed])))
    assert said(fresh)["Ready"] == ("False", "Propagating")
    narrower = token(permissions=[], status=seen.token.status.document())
    assert said(replace(seen, token=narrower))["Ready"] == ("False", "Propagating")


def test_a_restart_takes_nothing_back() -> None:
    """Before the Registry was looked at again, what was said of this generation stands."""
    seen = written(issued(pullSecrets=PULLS))
    assert status(replace(seen, propagations={})) == seen.token.status
    ((key, reached),) = seen.propagations.items()
    unasked = replace(reached, reported={}, unasked=frozenset(reached.reported))
    assert status(replace(seen, propagations={key: unasked})) == seen.token.status
    assert said(replace(issued(), propagations={}))["Ready"] == ("Unknown", "NotReported")
    edited = replace(seen.token, meta=replace(seen.token.meta, generation=2))
    assert said(replace(seen, token=edited, propagations={}))["Ready"] == ("Unknown", "NotReported")


def test_a_suspended_token_is_as_declared() -> None:
    """It is Current for whoever applied it, and says what it is."""
    assert said(issued(suspended=True))["Ready"] == ("True", "Suspended")


def test_the_end_comes_near_and_is_there() -> None:
    """A warning a week before, or a fifth of a short life; then Stalled until somebody acts."""
    seen = issued(expiresAfter="100d")
    end = MADE + timedelta(days=100)
    assert said(seen)["Expiring"] == ("False", "NotSoon")
    assert due(seen) == end - timedelta(days=7)
    near = replace(seen, now=end - timedelta(days=7))
    assert said(near)["Expiring"] == ("True", "ExpiresSoon")
    assert said(near)["Ready"] == ("True", "InForce")
    assert due(near) == end
    over = replace(seen, now=end)
    assert said(over)["Ready"] == ("False", "Expired")
    assert said(over)["Expiring"] == ("True", "Expired")
    assert due(over) is None
    assert kstatus_of(over) == "Failed"
    assert status(over).document()["expiresAt"] == "2027-02-28T12:00:00Z"
    assert due(issued()) is None
    assert due(issued(expiresAfter="40h")) == MADE + timedelta(hours=32)


def test_a_token_whose_uses_are_spent_says_so() -> None:
    """It is as it was declared, and `kubectl get` shows why it pushes no more."""
    seen = issued(uses=2)
    assert said(seen)["Ready"] == ("True", "InForce")
    assert status(seen).uses_left == 2
    some = replace(seen, activity=TokenActivity(spent=1))
    assert (said(some)["Ready"], status(some).uses_left) == (("True", "InForce"), 1)
    spent = replace(seen, activity=TokenActivity(last=NOW, spent=2))
    assert said(spent)["Ready"] == ("True", "UsesSpent")
    assert kstatus_of(spent) == "Current"
    assert (status(spent).uses_left, status(spent).last_used_at) == (0, NOW)
    again = replace(written(spent), activity=TokenActivity())
    assert status(again) == status(spent)
    suspended = issued(uses=1, suspended=True)
    assert said(replace(suspended, activity=TokenActivity(spent=1)))["Ready"] == ("True", "Suspended")
