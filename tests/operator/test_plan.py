"""What a plan says of an upgrade and of consents, and who may plan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from registry_operator.names import CERTIFICATES_ROLE, REGISTRY_ROLE, ROUTES_ROLE

from tests.operator.apiserver import Object, Refusal
from tests.operator.commanding import Caller
from tests.operator.installed import crds
from tests.operator.operator_process import RBAC, ROOT, Operator, wait
from tests.operator.planned import IMAGE, Harbour, binding, made, registry, token

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def harbour(operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    with made(operator, tmp_path_factory.mktemp("plan")) as found:
        yield found


def test_an_upgrade_of_the_operator_rolls_nothing_and_an_opt_in_is_planned(harbour: Harbour) -> None:
    """Another image changes nothing; a Registry that asks for it, one Deployment, and nobody loses access."""
    other = f"{IMAGE}-next"
    for image in (IMAGE, other):
        assert harbour.caller.document("plan", "--upgrade", "--image", image)["changes"] == []
    stored = harbour.cluster.get("Registry", "port", "harbour")
    assert stored is not None
    asking = registry() | {"spec": stored["spec"]}  # whatever the tests before made of it
    asking["metadata"]["annotations"] = {"roadstead.dev/upgrade-to": "now"}
    words = ("plan", "-f", "-", "--image", other)
    planned = harbour.caller.document(*words, stdin=json.dumps(asking))
    (deployment,) = (one for one in planned["changes"] if one["kind"] == "Deployment")
    assert any(other in line for line in deployment["diff"])
    assert [one["registry"] for one in planned["pods"]] == ["port/harbour"]
    assert planned["clients"] == {}
    code, text, _ = harbour.caller.run(*words, "--refuse", "roll", stdin=json.dumps(asking))
    assert (code, "1 Registry rolls" in text) == (1, True)


def test_a_pipeline_plans_without_the_right_to_write_or_to_read_a_secret(
    harbour: Harbour, operator: Operator, tmp_path: Path
) -> None:
    """The component's role: the plan is the same, Secrets aside; the API server refuses all but dry runs."""
    install_plan(harbour)
    accounts = "/api/v1/namespaces/roadstead-system/serviceaccounts"
    path = f"{accounts}/roadstead-plan/token"
    asked = harbour.cluster.server.ask("POST", path, {"spec": {"expirationSeconds": 3600}})
    pipeline = Caller.by_token(operator, tmp_path, asked["status"]["token"])
    robot = token("deployer", permissions=[{"repositories": ["pier/only"], "actions": ["pull"]}])
    words = ("plan", "-f", "-", "--image", IMAGE)
    texts = (json.dumps(registry(privateOnly=True, replicas=4)), json.dumps(robot))
    for text in texts:
        whole = harbour.caller.document(*words, stdin=text)
        narrow = pipeline.document(*words, stdin=text)
        seen = [one for one in whole["changes"] if one["kind"] != "Secret"]
        assert (narrow["changes"], narrow["pods"]) == (seen, whole["pods"])
        assert narrow["clients"] == whole["clients"]
        assert any("Secrets of port may not be read by you" in one for one in narrow["notes"])
    as_pipeline = ApiAs(harbour, asked["status"]["token"])
    wait(lambda: as_pipeline.refused("PATCH", robot), sentence="the policy never came into force")
    assert as_pipeline.refused("DELETE", robot)
    code, _, errors = pipeline.run("plan", "-f", "-", "--image", IMAGE, stdin="kind: [")
    assert (code, "is no YAML" in errors) == (1, True)


@dataclass
class ApiAs:
    """Requests with somebody else's token."""

    harbour: Harbour
    token: str

    def refused(self, method: str, obj: Object) -> bool:
        server = replace(self.harbour.cluster.server, token=self.token)
        path = self.harbour.cluster.path(obj["kind"], "port", obj["metadata"]["name"])
        query = "?fieldManager=kubectl&force=true&dryRun=All" if method == "PATCH" else "?dryRun=All"
        kind = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
        server.ask(method, path + query, obj if method == "PATCH" else None, kind)  # a dry run is let in
        try:
            server.ask(
                method, path + query.replace("dryRun=All", ""), obj if method == "PATCH" else None, kind
            )
        except Refusal as refusal:
            return "may plan, and change nothing" in refusal.message
        return False


def test_a_consent_that_is_missing_is_foreseen_with_its_command(harbour: Harbour) -> None:
    """For Certificates and routes, which have their own; those of the files count, and the apply agrees."""
    cluster, namespace = harbour.cluster, harbour.cluster.namespace("quay", consent="")
    cluster.secret(namespace, "s3", accessKeyID="id", secretAccessKey="key")
    cluster.registry(namespace)
    wait(lambda: cluster.condition("Registry", namespace, "harbour", "Ready").get("status") == "False")
    route = {"gateway": {"parentRefs": [{"name": "edge"}], "kind": "HTTPRoute"}}
    wanted = registry(tls={"issuerRef": {"name": "own"}}, exposure=route)
    wanted["metadata"]["namespace"] = namespace

    def planned(*roles: str) -> Any:
        text = "---\n".join(map(yaml.safe_dump, (wanted, *(binding(namespace, role) for role in roles))))
        return harbour.caller.document("plan", "-f", "-", "--image", IMAGE, stdin=text)

    missing = planned(REGISTRY_ROLE)
    assert reasons(missing) == {
        ("TLSReady", "CertManagerNotInstalled"),
        ("Exposed", "GatewayApiNotInstalled"),
    }
    for project in ("cert-manager", "gateway-api"):
        crds(cluster.server, project)
    none = planned(REGISTRY_ROLE)
    assert reasons(none) == {("TLSReady", "NotPermitted"), ("Exposed", "NotPermitted")}
    assert not BY_CONSENT & {one["kind"] for one in none["changes"]}
    every = planned(REGISTRY_ROLE, ROUTES_ROLE, CERTIFICATES_ROLE)
    assert (every["refused"], reasons(every)) == ([], set())
    assert {one["kind"] for one in every["changes"]} >= BY_CONSENT

    cluster.consent(namespace)
    harbour.apply(wanted)
    for one in none["conditions"]:
        seen = partial(cluster.condition, "Registry", namespace, "harbour", one["type"])
        wait(lambda seen=seen, one=one: said(seen()) == said(one), 60, f"not {one}")  # type: ignore[misc]


BY_CONSENT = {"Certificate", "HTTPRoute", "BackendTLSPolicy"}


def reasons(planned: Any) -> set[tuple[str, str]]:
    return {(one["type"], one["reason"]) for one in planned["conditions"] if one["namespace"] == "quay"}


def said(condition: Object) -> tuple[Any, ...]:
    return tuple(condition.get(name) for name in ("status", "reason", "message"))


def install_plan(harbour: Harbour) -> None:
    """What manifests/plan adds to a cluster."""
    plurals = {
        "ValidatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
        "ValidatingAdmissionPolicyBinding": (
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
        ),
        "ServiceAccount": "/api/v1/namespaces/roadstead-system/serviceaccounts",
        "ClusterRole": f"{RBAC}/clusterroles",
        "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
    }
    for obj in yaml.safe_load_all((ROOT / "manifests" / "plan" / "plan.yaml").read_text()):
        harbour.cluster.server.ask("POST", f"{plurals[obj['kind']]}?fieldValidation=Strict", obj)
