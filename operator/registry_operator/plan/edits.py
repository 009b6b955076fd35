"""What the API server would make of a declared resource: a dry run, so CEL, defaults and admission are real.

It is asked as whoever applied last would ask: `kubectl apply` without `--server-side` left its own record,
and takes away what that has and the file has no longer; everybody else applies as a field manager.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from registry_operator.cluster import Cluster, Resource
from registry_operator.cluster.api import APPLY, MERGE, STATUS_MANAGER
from registry_operator.models import Key

Object = dict[str, Any]
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL = "kubectl"  # field manager of `kubectl apply --server-side`
_DRY = {"dryRun": "All", "fieldValidation": "Strict"}


class DryRuns(Cluster):
    """Requests that the API server answers as if, and stores nothing of."""

    async def declared(
        self, resource: Resource, key: Key, obj: Object, there: Object | None, manager: str = ""
    ) -> Object:
        """As it would be stored. Raises ClusterError: Refused is what CEL and schema say."""
        path, place = resource.path(*key), resource.place(*key)
        record = last_applied(there) if there is not None and not manager else None
        if there is not None and record is not None:
            patch = three_way(record, obj, there)
            query = {**_DRY, "fieldManager": "kubectl-client-side-apply"}
            headers = {"Content-Type": MERGE}
        else:
            patch = obj
            query = {**_DRY, "fieldManager": manager or manager_of(there), "force": "true"}
            headers = {"Content-Type": APPLY}
        return await self._json(
            *("apply", resource, path, place, key.namespace),
            method="PATCH",
            body=patch,
            query=query,
            headers=headers,
        )

    async def deleted(self, resource: Resource, key: Key) -> None:
        """Raises ClusterError where the deletion would be refused.

        Said in the body, too: where there is a body the API server does not read the query.
        """
        path, place = resource.path(*key), resource.place(*key)
        await self._json(
            *("delete", resource, path, place, key.namespace),
            method="DELETE",
            body={"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]},
            query={"dryRun": "All"},
        )

    async def may(self, user: str, verb: str, resource: Resource, namespace: str) -> bool:
        """Whether somebody may: a SubjectAccessReview, which stores nothing either."""
        review = Resource(
            *("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview"), namespaced=False
        )
        attributes = {
            "namespace": namespace,
            "verb": verb,
            "group": resource.group,
            "resource": resource.plural,
        }
        body = {
            "apiVersion": review.api_version,
            "kind": review.kind,
            "spec": {"user": user, "groups": groups(user), "resourceAttributes": attributes},
        }
        answer = await self._json(
            "create", review, review.path(), review.place(None, None), None, method="POST", body=body
        )
        return bool(answer["status"].get("allowed"))


def groups(user: str) -> list[str]:
    """Of a ServiceAccount, by its user name."""
    namespace = user.split(":")[2]
    return ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]


def last_applied(there: Mapping[str, Any]) -> Object | None:
    """What `kubectl apply` recorded of its last run; None where it did not, or it cannot be read."""
    text = (there["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    try:
        read = json.loads(text) if text else None
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def manager_of(there: Mapping[str, Any] | None) -> str:
    """The field manager that applies this resource: the only one that does, else kubectl."""
    entries = ((there or {}).get("metadata") or {}).get("managedFields") or ()
    found = {
        one["manager"]
        for one in entries
        if one.get("operation") == "Apply" and not one.get("subresource") and one["manager"] != STATUS_MANAGER
    }
    return found.pop() if len(found) == 1 else KUBECTL


def three_way(record: Mapping[str, Any], want: Mapping[str, Any], there: Mapping[str, Any]) -> Object:
    """The merge patch of `kubectl apply`: what is declared, without what was declared and is no longer."""
    patch: Object = {name: None for name in record.keys() - want.keys() if name in there}
    for name, value in want.items():
        before, have = record.get(name), there.get(name)
        if isinstance(value, dict) and isinstance(have, dict):
            patch[name] = three_way(before if isinstance(before, dict) else {}, value, have)
        else:
            patch[name] = value
    return patch
