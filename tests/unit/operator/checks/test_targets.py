"""Distributed: what holds a pull secret back, and how that is mended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from registry_operator.checks.finding import Finding
from registry_operator.checks.targets import check, reached
from registry_operator.desired.access_token import render
from registry_operator.models import Key
from registry_operator.names import SECRETS_ROLE
from registry_operator.observed import ServiceAccount, TokenObserved

from tests.unit.operator.harbour import (
    NOW,
    SETTINGS,
    accounts,
    consents,
    placed,
    registry,
    token,
    view,
)

ANNOTATE = (
    "kubectl annotate rolebinding roadstead-secrets --namespace {} "
    "pull-secrets-from.roadstead.dev/harbour=true --overwrite"
)


def seen(**pulls: Any) -> TokenObserved:
    """A token of harbour whose pull secret is in shop and yard."""
    of = registry()
    fresh = TokenObserved(
        token(pullSecrets={"namespaces": ["shop", "yard"], **pulls}),
        NOW,
        registries={of.key: of},
        kubernetes_namespaces=accounts("shop", "yard"),
        consents=consents("shop", "yard"),
    )
    return replace(fresh, secrets=view(placed(fresh.token, render(fresh))))


def said(one: TokenObserved) -> Finding:
    return check(one, SETTINGS)


def test_a_target_that_names_others_gets_the_command() -> None:
    """Only somebody's doing mends it; the namespace that takes it is reached all the same."""
    one = replace(seen(), consents=consents("shop", harbour=True) | consents("yard", pier=True))
    found = said(one)
    assert (found.status, found.reason, found.mend) == ("False", "TargetNotConsenting", True)
    assert ANNOTATE.format("yard") in found.message.splitlines()
    assert ANNOTATE.format("shop") not in found.message
    assert "pier" not in found.message  # whom else it takes is not for everybody to know
    assert reached(one) == (Key("shop", "deployer-pull"),)


def test_a_target_without_any_consent_gets_both_commands() -> None:
    """The right first, then the name; where the account is named already, the right alone."""
    one = replace(seen(), consents=consents("yard"))
    found = said(replace(one, secrets=view(one.secrets.found, refused=["shop", "yard"])))
    assert (found.reason, found.mend) == ("SecretsNotPermitted", True)
    lines = found.message.splitlines()
    for namespace in ("shop", "yard"):
        assert SETTINGS.grant(namespace, SECRETS_ROLE) in lines
    assert ANNOTATE.format("shop") in lines
    assert ANNOTATE.format("yard") not in lines


def test_a_service_account_that_is_not_there_is_named() -> None:
    """It may come any time: nobody is asked to mend it. The pull secrets themselves are there."""
    one = seen(serviceAccounts=["default"])
    there = {Key("shop", "default"): ServiceAccount("5", ("deployer-pull",))}
    found = said(replace(one, service_accounts=there))
    assert (found.status, found.reason, found.mend) == ("False", "ServiceAccountNotFound", False)
    assert found.message == (
        "2 of 2 Kubernetes namespaces have the pull secret, 1 of 2 ServiceAccounts name it; "
        "there is no ServiceAccount yard/default"
    )


def test_service_accounts_count_until_each_names_the_pull_secret() -> None:
    """Whoever put the name there."""
    one = seen(serviceAccounts=["default"])
    there = {Key(namespace, "default"): ServiceAccount("5") for namespace in ("shop", "yard")}
    waiting = said(replace(one, service_accounts=there))
    assert (waiting.status, waiting.reason) == ("False", "Distributing")
    named = {key: ServiceAccount("6", ("theirs", "deployer-pull")) for key in there}
    done = said(replace(one, service_accounts=named))
    assert (done.status, done.reason) == ("True", "Distributed")
    assert done.message.endswith("2 of 2 ServiceAccounts name it")
