"""Which Kubernetes namespaces let the operator in: as the API server says, or as RoleBindings do."""

from __future__ import annotations

from typing import Any

import pytest
from registry_operator.cluster import Credentials, Resource
from registry_operator.cluster.resources import CERTIFICATES, CONFIG_MAPS, HTTP_ROUTES, SECRETS
from registry_operator.errors import NotPermitted
from registry_operator.models import Key
from registry_operator.plan.consents import Consents
from registry_operator.plan.edits import DryRuns

from tests.unit.operator.harbour import SETTINGS

HERE = Key("port", "harbour")
OPERATOR = {"kind": "ServiceAccount", "namespace": SETTINGS.namespace, "name": SETTINGS.service_account}
USER = f"system:serviceaccount:{SETTINGS.namespace}:{SETTINGS.service_account}"


class Says(DryRuns):
    """An API server that says so, or that may not be asked (None)."""

    def __init__(self, *, allowed: bool | None) -> None:
        super().__init__(Credentials("https://api.test", lambda: None), lambda *_: None)
        self.allowed = allowed
        self.asked: list[tuple[Any, ...]] = []

    async def may(self, user: str, verb: str, resource: Resource, namespace: str) -> bool:
        self.asked.append((user, verb, resource, namespace))
        if self.allowed is None:
            raise NotPermitted("not you")
        return self.allowed


def binding(role: str, *subjects: dict[str, str]) -> dict[str, Any]:
    return {"roleRef": {"kind": "ClusterRole", "name": role}, "subjects": list(subjects)}


@pytest.mark.parametrize("allowed", [None, False])
async def test_what_is_missing_is_said_with_its_command(allowed: bool | None) -> None:
    """As the API server would refuse it; of kinds that come with the consent to Secrets nothing is asked."""
    async with Says(allowed=allowed) as asking:
        consents = Consents(asking, SETTINGS)
        await consents.need("patch", CONFIG_MAPS, HERE)
        for _ in range(2):
            with pytest.raises(NotPermitted, match="rolebinding roadstead-routes --namespace port") as raised:
                await consents.need("patch", HTTP_ROUTES, HERE)
            assert raised.value.namespace == "port"
        assert asking.asked == [(USER, "patch", HTTP_ROUTES, "port")]


@pytest.mark.parametrize(
    "subject",
    [
        OPERATOR,
        {"kind": "User", "name": USER},
        {"kind": "Group", "name": f"system:serviceaccounts:{SETTINGS.namespace}"},
    ],
)
async def test_a_binding_is_believed_if_it_binds_the_operator(subject: dict[str, str]) -> None:
    """In its namespace, for its role; one that binds somebody else gives nothing."""
    async with Says(allowed=None) as asking:
        consents = Consents(asking, SETTINGS)
        consents.see(HERE, binding("roadstead-certificates", {**subject, "name": "else"}, subject))
        consents.see(HERE, binding("roadstead-routes", {**OPERATOR, "namespace": "else"}))
        consents.see(HERE, binding("roadstead-registry", subject))
        await consents.need("delete", CERTIFICATES, HERE)
        assert await consents.given("list", SECRETS, "port")
        assert not await consents.given("patch", HTTP_ROUTES, "port")
        assert not await consents.given("patch", CERTIFICATES, "else")


async def test_a_right_by_any_other_way_counts() -> None:
    """The API server knows it."""
    async with Says(allowed=True) as asking:
        await Consents(asking, SETTINGS).need("patch", CERTIFICATES, HERE)
