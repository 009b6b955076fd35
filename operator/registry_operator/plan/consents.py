"""Which Kubernetes namespaces let the operator in: as the API server says, and as RoleBindings say.

Those of the files are not there yet, and count as if they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_operator import names
from registry_operator.cluster import Resource
from registry_operator.errors import NotPermitted
from registry_operator.models import Key
from registry_operator.plan.edits import DryRuns, groups
from registry_operator.settings import Settings

Object = Mapping[str, Any]
SECRETS_ROLES = frozenset({names.SECRETS_ROLE, names.REGISTRY_ROLE})


class Consents:
    """`asking` asks as the caller, about the operator of `settings`."""

    def __init__(self, asking: DryRuns, settings: Settings) -> None:
        self._asking = asking
        self._settings = settings
        self._user = f"system:serviceaccount:{settings.namespace}:{settings.service_account}"
        # Namespaces, each with a role that it binds to the operator.
        self._bound: set[tuple[str, str]] = set()
        self._said: dict[tuple[str, Resource, str], bool] = {}

    def see(self, key: Key, binding: Object) -> None:
        """A RoleBinding that is there, or would be."""
        role = binding["roleRef"]
        if role["kind"] == "ClusterRole" and any(map(self._is_operator, binding.get("subjects") or ())):
            self._bound.add((key.namespace, role["name"]))

    async def given(self, verb: str, resource: Resource, namespace: str) -> bool:
        """Whether the operator may; by RoleBindings alone where the caller may not ask."""
        one = names.CONSENT.get(resource.kind)
        if any((namespace, role) in self._bound for role in ({one} if one else SECRETS_ROLES)):
            return True
        asked = (verb, resource, namespace)
        if asked not in self._said:
            try:
                self._said[asked] = await self._asking.may(self._user, verb, resource, namespace)
            except NotPermitted:
                self._said[asked] = False
        return self._said[asked]

    async def need(self, verb: str, resource: Resource, key: Key) -> None:
        """Raises NotPermitted as the API server would, for kinds that have a consent of their own."""
        role = names.CONSENT.get(resource.kind)
        if role is None or await self.given(verb, resource, key.namespace):
            return
        place = resource.place(*key)
        command = self._settings.grant(key.namespace, role)
        raise NotPermitted(f"{place}: Roadstead may not {verb} it; run:\n{command}", place, key.namespace)

    def _is_operator(self, subject: Object) -> bool:
        if subject["kind"] == "ServiceAccount":
            account = self._settings.namespace, self._settings.service_account
            return (subject.get("namespace"), subject["name"]) == account
        return subject["name"] in {"User": [self._user], "Group": groups(self._user)}.get(subject["kind"], ())
