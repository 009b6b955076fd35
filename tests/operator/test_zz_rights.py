"""The operator's rights are least: what the tests of this folder made it ask for, and what it is granted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from registry_operator.names import CONSENT

from tests.operator.apiserver import AUDIT_LOG, Object

pytestmark = pytest.mark.cluster
HERE = Path(__file__).parent
MANIFESTS = HERE.parents[1] / "manifests"
Right = tuple[str, str, str]  # group, resource or resource/subresource, verb

# What no test provokes, and why it is granted all the same.
LOST = "the sweep reads what a watch lost, which a real API server does not"
UNPROVOKED: dict[Right, str] = {
    ("", "namespaces", "get"): LOST,
    ("roadstead.dev", "namespaces", "get"): LOST,
    ("roadstead.dev", "registries", "get"): LOST,
}


@pytest.fixture(scope="module")
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """Every request of the operator's account in this run, from the audit logs of all API servers."""
    ran = {Path(item.path).name for item in request.session.items if Path(item.path).parent == HERE}
    if ran < {file.name for file in HERE.glob("test_*.py")}:
        pytest.skip("it judges by what all tests of this folder do")
    logs = tmp_path_factory.getbasetemp().glob(f"**/{AUDIT_LOG}")
    return [json.loads(line) for log in logs for line in written(log)]


def written(log: Path) -> list[str]:
    """Its lines, without one that an API server was writing when it was killed."""
    return log.read_text().rpartition("\n")[0].splitlines()


def test_every_right_is_used(asked: list[Object]) -> None:
    """What the operator never needs it is not granted, in the cluster or by consent."""
    unused = granted() - used(asked) - UNPROVOKED.keys()
    assert not unused, f"granted and never used: {sorted(unused)}"
    assert UNPROVOKED.keys() <= granted()


def test_no_right_is_missing(asked: list[Object]) -> None:
    """Whatever was allowed stands in the roles that are shipped: nothing comes from elsewhere."""
    missing = used(asked) - granted()
    assert not missing, f"used and not granted: {sorted(missing)}"
    assert len(used(asked)) > 30


def granted() -> set[Right]:
    """By the roles of the installation, and by those that a namespace binds."""
    roles = [
        one
        for file in ("rights.yaml", "tenants.yaml")
        for one in yaml.safe_load_all((MANIFESTS / file).read_text())
        if one["kind"] in {"Role", "ClusterRole"}
    ]
    own = ("roadstead-operator", "roadstead-secrets", "roadstead-registry", *CONSENT.values())
    return {
        (group, resource, verb)
        for role in roles
        if role["metadata"]["name"] in own
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(asked: list[Object]) -> set[Right]:
    return {right for one in asked for right in rights(one)}


def rights(event: Object) -> Iterator[Right]:
    """What one request needed, where it was allowed: an apply that made the object needed `create`, too."""
    target = event.get("objectRef")
    if not target or event["responseStatus"]["code"] == 403:
        return
    resource = "/".join(filter(None, (target["resource"], target.get("subresource"))))
    group = target.get("apiGroup", "")
    if group in {"authorization.k8s.io", "authentication.k8s.io"}:
        return  # to ask about oneself is everybody's right
    yield group, resource, event["verb"]
    if event["verb"] == "patch" and event["responseStatus"]["code"] == 201:
        yield group, resource, "create"
