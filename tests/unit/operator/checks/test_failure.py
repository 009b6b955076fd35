"""An error of a reconcile → conditions."""

from __future__ import annotations

import pytest
from registry_operator.checks.failure import judge
from registry_operator.checks.registry import judge as judge_registry
from registry_operator.errors import (
    AdmissionDenied,
    InvalidResource,
    NameConflict,
    NamespaceTerminating,
    NotPermitted,
    OperatorError,
    QuotaExceeded,
    Refused,
    RenderFailed,
    Unavailable,
    WriteConflict,
)
from registry_operator.models import AccessTokenStatus, RegistryStatus
from registry_operator.names import REGISTRY_ROLE, SECRETS_ROLE

from tests.unit.operator.harbour import NOW, SETTINGS, observed, running
from tests.unit.operator.kstatus import kstatus

GOOD = judge_registry(*running(observed()), SETTINGS)


def said(status: RegistryStatus) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.reason) for one in status.conditions}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotPermitted("no", "Secret shop/x", "shop"), "SecretsNotPermitted"),
        (NotPermitted("no", "Deployment shop/x", "shop"), "NotPermitted"),
        (NotPermitted("no", "ClusterRole x"), "NotPermitted"),
        (QuotaExceeded("exceeded quota", "Deployment shop/x"), "QuotaExceeded"),
        (AdmissionDenied("denied the request", "Service shop/x"), "AdmissionDenied"),
        (NameConflict("taken"), "NameConflict"),
        (Refused("422"), "Refused"),
        (RenderFailed("template"), "RenderFailed"),
        (InvalidResource("Registry a/b", "x"), "InvalidResource"),
    ],
)
def test_what_somebody_must_mend_is_stalled(error: OperatorError, reason: str) -> None:
    """Ready is False for that reason, and the message has the remedy."""
    found = judge(GOOD, 2, error, NOW, SETTINGS)
    assert said(found)["Ready"] == ("False", reason)
    assert said(found)["Stalled"] == ("True", reason)
    assert kstatus(2, found.document()) == "Failed"
    ready = found.condition("Ready")
    assert ready
    if isinstance(error, NotPermitted) and error.namespace:
        assert SETTINGS.grant("shop", REGISTRY_ROLE) in ready.message.splitlines()
    else:
        assert "rolebinding" not in ready.message


def test_a_token_asks_for_no_more_than_secrets() -> None:
    """Its command names the lesser role."""
    error = NotPermitted("no", "Secret shop/x", "shop")
    ready = judge(AccessTokenStatus(), 1, error, NOW, SETTINGS).condition("Ready")
    assert ready
    assert SETTINGS.grant("shop", SECRETS_ROLE) in ready.message.splitlines()


@pytest.mark.parametrize(
    "error", [Unavailable("no answer"), WriteConflict("409"), NamespaceTerminating("gone")]
)
def test_what_may_pass_takes_nothing_back(error: OperatorError) -> None:
    """Ready of this generation stays true; of another it is not known. Either way it is being worked on."""
    same = judge(GOOD, 1, error, NOW, SETTINGS)
    assert said(same)["Ready"] == ("True", "ReplicasServe")
    assert kstatus(1, same.document()) == "InProgress"
    other = judge(GOOD, 2, error, NOW, SETTINGS)
    assert said(other)["Ready"] == ("Unknown", type(error).__name__)
    assert said(other)["Reconciling"][0] == "True"
    assert kstatus(2, other.document()) == "InProgress"


def test_what_else_was_known_keeps_its_generation() -> None:
    """Nobody has looked at the storage again, so nothing new is said of it; numbers stay."""
    found = judge(GOOD, 2, Refused("422"), NOW, SETTINGS)
    storage = found.condition("StorageReady")
    assert storage
    assert storage.observed_generation == 1
    assert found.zones == GOOD.zones
    assert len(found.conditions) == len(GOOD.conditions)
