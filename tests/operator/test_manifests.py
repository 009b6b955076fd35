"""manifests/ on a real API server: what is rendered is accepted, with the rights that are installed."""

from __future__ import annotations

import base64
import copy
import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from registry_operator.desired.access_token import render as render_token
from registry_operator.desired.registry import render
from registry_operator.models import AccessToken, Key, Namespace, Registry
from registry_operator.names import REGISTRY_ROLE, SECRETS_ROLE
from registry_operator.observed import (
    KubernetesNamespace,
    RegistryObserved,
    SecretData,
    SecretView,
    TokenObserved,
)
from registry_operator.seen import consent as consent_of
from registry_operator.settings import Settings

from local_cluster.parts import Parts
from tests.operator.apiserver import ApiServer, Object, Refusal
from tests.unit.operator.harbour import NOW

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
SETTINGS = Settings(image="roadstead.test/runtime:1")
STRICT = "fieldValidation=Strict&fieldManager=roadstead&force=true"


@pytest.fixture(scope="module")
def server(fresh: ApiServer) -> ApiServer:
    """The whole of manifests/ and the samples' namespaces are applied, as `kubectl apply -k` would."""
    for obj in kustomized("manifests"):
        apply(fresh, obj)
    for name in ("harbour", "shop"):
        apply(fresh, {"apiVersion": "v1", "kind": "Namespace", "metadata": restricted(name)})
    return fresh


@pytest.fixture(scope="module")
def operator(server: ApiServer) -> ApiServer:
    """The API as the operator's own ServiceAccount meets it."""
    account = "/api/v1/namespaces/roadstead-system/serviceaccounts/roadstead-operator/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    return replace(server, token=server.ask("POST", account, asked)["status"]["token"])


def kustomized(folder: str) -> list[Object]:
    cache = Path(os.environ.get("ROADSTEAD_CACHE", Path.home() / ".cache" / "roadstead"))
    kubectl = str(Parts(cache).binary("kubectl"))
    printed = subprocess.run([kubectl, "kustomize", str(ROOT / folder)], check=True, capture_output=True)
    return list(yaml.safe_load_all(printed.stdout))


def restricted(name: str) -> Object:
    return {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}


def apply(server: ApiServer, obj: Object, query: str = STRICT) -> Object:
    """Server-side apply. Unknown fields are an error. Raises Refusal."""
    return server.ask("PATCH", f"{place(obj)}?{query}", obj, "application/apply-patch+yaml")


PLURALS = {
    "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
    "NetworkPolicy": "networkpolicies",
    "Registry": "registries",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
}


def place(obj: Object) -> str:
    """The URL of an object."""
    group, _, version = obj["apiVersion"].rpartition("/")
    plural = PLURALS.get(obj["kind"], f"{obj['kind'].lower()}s")
    namespace = obj["metadata"].get("namespace")
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    return f"{root}{f'/namespaces/{namespace}' if namespace else ''}/{plural}/{obj['metadata']['name']}"


def sample(name: str, kind: str) -> Object:
    documents = yaml.safe_load_all((ROOT / "manifests/samples" / name).read_text())
    (found,) = [one for one in documents if one["kind"] == kind and one["apiVersion"] != "v1"]
    return dict(found)


def consent(server: ApiServer, file: str) -> None:
    apply(server, sample(file, "RoleBinding"))


def observed(server: ApiServer) -> RegistryObserved:
    """The sample Registry as it is stored, with its account and credentials."""
    registry = Registry.parse(apply(server, sample("registry.yaml", "Registry")))
    account = server.ask("GET", "/api/v1/namespaces/harbour")["metadata"]
    credentials = SecretData({"accessKeyID": b"id", "secretAccessKey": b"key"})
    return RegistryObserved(
        registry,
        NOW,
        kubernetes_namespaces={"harbour": KubernetesNamespace("harbour", account["uid"])},
        secrets=SecretView({Key("harbour", "harbour-s3"): credentials}),
    )


def test_the_operator_applies_every_child_with_its_own_rights(server: ApiServer, operator: ApiServer) -> None:
    """Without consent each child is refused; with it all are accepted, and a second time changes nothing."""
    children = render(observed(server), SETTINGS).children
    for child in children:
        with pytest.raises(Refusal) as refused:
            apply(operator, child)
        assert refused.value.code == 403
    consent(server, "registry.yaml")
    first = [eventually(operator, child) for child in children]
    second = [apply(operator, child) for child in children]
    versions = [[one["metadata"]["resourceVersion"] for one in each] for each in (first, second)]
    assert versions[0] == versions[1]


def eventually(operator: ApiServer, child: Object) -> Object:
    """The API server's authorizer hears of a new RoleBinding a moment later."""
    for _ in range(100):
        try:
            return apply(operator, child)
        except Refusal as refusal:
            if refusal.code != 403:
                raise
    return apply(operator, child)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"replicas": 12},
        {"replicas": 1, "storage": {"ephemeral": {}}, "zones": {"minimum": 1}},
        {"tls": {"secretRef": {"name": "public"}}, "imagePullSecrets": [{"name": "x"}]},
        {"resources": {"requests": {"cpu": 1}, "limits": {"memory": "2Gi"}}},
        {"encryption": {"keySecretRef": {"name": "keys"}, "activeKey": "k1"}},
    ],
)
def test_a_pod_of_every_shape_passes_the_restricted_standard(server: ApiServer, spec: Object) -> None:
    """What the Deployment would make is accepted by a namespace that enforces `restricted`."""
    body = sample("registry.yaml", "Registry")
    body["metadata"]["name"] = "shape"  # a new one: some choices are made at creation only
    body["spec"] = {**body["spec"], **spec}
    stored = server.ask("PATCH", f"{place(body)}?{STRICT}&dryRun=All", body, "application/apply-patch+yaml")
    seen = replace(observed(server), registry=Registry.parse(stored))
    deployment = render(seen, SETTINGS).children[-1]
    apply(server, deployment, f"{STRICT}&dryRun=All")
    pod = pod_of(deployment)
    server.ask("POST", "/api/v1/namespaces/harbour/pods?dryRun=All&fieldValidation=Strict", pod)
    pod["spec"]["securityContext"].pop("runAsNonRoot")
    with pytest.raises(Refusal, match="restricted"):
        server.ask("POST", "/api/v1/namespaces/harbour/pods?dryRun=All", pod)


def pod_of(deployment: Object) -> Object:
    template = copy.deepcopy(deployment["spec"]["template"])
    metadata = {**template["metadata"], "name": "one"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def test_the_operators_own_pod_passes_the_restricted_standard(server: ApiServer) -> None:
    """Its namespace enforces it, so a slip would only be seen as a Deployment without pods."""
    (deployment,) = [obj for obj in kustomized("manifests") if obj["kind"] == "Deployment"]
    path = "/api/v1/namespaces/roadstead-system/pods?dryRun=All&fieldValidation=Strict"
    server.ask("POST", path, pod_of(deployment))


def test_a_tokens_secrets_are_accepted(server: ApiServer, operator: ApiServer) -> None:
    """Password and pull secret, the second in another namespace that has opted in."""
    consent(server, "accesstoken.yaml")
    consent(server, "registry.yaml")
    seen = observed(server)
    token = AccessToken.parse(apply(server, sample("accesstoken.yaml", "AccessToken")))
    known = {**seen.kubernetes_namespaces, "shop": KubernetesNamespace("shop", "u")}
    binding = sample("accesstoken.yaml", "RoleBinding")
    given = consent_of({**binding, "metadata": {**binding["metadata"], "uid": "u"}})
    assert given
    children = render_token(
        TokenObserved(
            token,
            NOW,
            registries={seen.registry.key: seen.registry},
            kubernetes_namespaces=known,
            consents={"shop": {"roadstead-secrets": given}},
        )
    )
    stored = [eventually(operator, child) for child in children]
    assert [one["metadata"]["namespace"] for one in stored] == ["harbour", "shop"]


def test_the_sample_claim_is_read(server: ApiServer) -> None:
    """The samples are what the models understand."""
    claim = Namespace.parse(apply(server, sample("namespace.yaml", "Namespace")))
    assert claim.spec.name == "pier-one"


ALLOWED = [
    ("get roadstead.dev/registries", "harbour", True),
    ("patch roadstead.dev/registries/status", "harbour", True),
    (
        "patch roadstead.dev/registries",
        "harbour",
        True,
    ),  # its finalizer: an admission policy holds it to that
    ("update roadstead.dev/registries", "harbour", False),
    ("create roadstead.dev/registries", "harbour", False),
    ("patch roadstead.dev/accesstokens", "harbour", False),
    ("delete roadstead.dev/accesstokens", "kube-system", False),
    ("delete roadstead.dev/registries", "harbour", False),
    ("list /secrets", "", False),
    ("get /secrets", "kube-system", False),
    ("get /secrets", "roadstead-system", False),
    ("create /pods", "harbour", False),
    ("list apps/deployments", "kube-system", True),
    ("create apps/deployments", "kube-system", False),
    ("patch apps/deployments", "kube-system", False),
    ("patch /pods", "kube-system", False),
    ("create /configmaps", "kube-system", False),
    ("patch /configmaps", "kube-system", False),
    ("delete /configmaps", "kube-system", False),
    ("create /services", "kube-system", False),
    ("patch /serviceaccounts", "kube-system", False),
    ("create policy/poddisruptionbudgets", "kube-system", False),
    ("patch networking.k8s.io/networkpolicies", "kube-system", False),
    ("create rbac.authorization.k8s.io/roles", "kube-system", False),
    ("create rbac.authorization.k8s.io/rolebindings", "kube-system", False),
    ("patch rbac.authorization.k8s.io/rolebindings", "roadstead-system", False),
    ("create apps/deployments", "roadstead-system", False),
    ("delete apps/deployments", "harbour", False),
    ("escalate rbac.authorization.k8s.io/roles", "harbour", False),
    ("bind rbac.authorization.k8s.io/clusterroles", "", False),
    ("create rbac.authorization.k8s.io/clusterrolebindings", "", False),
    ("impersonate /serviceaccounts", "harbour", False),
    ("create /serviceaccounts/token", "harbour", False),
    ("get coordination.k8s.io/leases", "kube-system", False),
]


@pytest.mark.parametrize(("right", "namespace", "allowed"), ALLOWED)
def test_the_operators_rights_are_least(
    operator: ApiServer, right: str, namespace: str, *, allowed: bool
) -> None:
    """The API server itself is asked what this account may do."""
    verb, what = right.split(" ")
    group, resource, subresource = (*what.split("/"), "")[:3]
    attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
    asked = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {**attributes, "subresource": subresource}},
    }
    answer = operator.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", asked)
    assert answer["status"]["allowed"] is allowed


def test_a_tenants_admin_may_use_and_grant(server: ApiServer) -> None:
    """The built-in roles of a namespace include Roadstead's resources, and everything that consent grants."""
    roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    edit = server.ask("GET", f"{roles}/roadstead-edit")
    assert edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"] == "true"
    held = server.ask("GET", f"{roles}/system:aggregate-to-edit")["rules"]
    held += server.ask("GET", f"{roles}/system:aggregate-to-admin")["rules"] + edit["rules"]
    for role in (SECRETS_ROLE, REGISTRY_ROLE):
        granted = rights(server.ask("GET", f"{roles}/{role}")["rules"])
        assert granted
        assert granted <= rights(held)
    read = server.ask("GET", f"{roles}/system:aggregate-to-view")["rules"]
    assert not any("secrets" in rule["resources"] for rule in read)


@pytest.fixture(scope="module")
def audience(server: ApiServer) -> str:
    """Of the sample Registry, once what keyless pulls need of the cluster is installed, and in force."""
    for obj in kustomized("manifests/keyless"):
        apply(server, obj)
    account = {"name": "default", "namespace": "harbour"}
    apply(server, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    name = str(sample("registry.yaml", "Registry")["spec"]["hostname"])
    until(lambda: lifetime(server, [name]) == 600)
    return name


def lifetime(server: ApiServer, audiences: list[str], seconds: int = 3600) -> int:
    """Seconds that a ServiceAccount's token for these lives."""
    path = "/api/v1/namespaces/harbour/serviceaccounts/default/token"
    spec = {"audiences": audiences, "expirationSeconds": seconds}
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    claims = server.ask("POST", path, asked)["status"]["token"].split(".")[1]
    read = json.loads(base64.urlsafe_b64decode(claims + "=="))
    return int(read["exp"] - read["iat"])


def test_tokens_for_a_registry_live_ten_minutes(server: ApiServer, audience: str) -> None:
    """Whatever is asked for; tokens for anybody else live as long as was asked."""
    assert lifetime(server, [audience], 86400) == 600
    assert lifetime(server, ["vault", audience]) == 600
    assert lifetime(server, ["vault"]) == 3600
    assert lifetime(server, []) == 3600


@pytest.mark.parametrize(
    ("group", "resource", "allowed"),
    [
        ("system:nodes", "harbour.roadstead.test", True),
        ("system:nodes", "vault", False),
        ("system:serviceaccounts", "harbour.roadstead.test", False),
    ],
)
def test_nodes_ask_for_tokens_of_the_named_audiences_alone(
    server: ApiServer, audience: str, group: str, resource: str, *, allowed: bool
) -> None:
    """What the API server asks itself before it gives a kubelet a token."""
    verb = "request-serviceaccounts-token-audience"
    assert audience == "harbour.roadstead.test"
    assert may(server, "somebody", group, verb=verb, resource=resource, namespace="shop") is allowed


def test_who_is_bound_reviews_tokens(server: ApiServer) -> None:
    """A Registry's replicas have this right from an administrator, by the command of the comment."""
    text = (ROOT / "manifests" / "token-review.yaml").read_text()
    assert "--clusterrole=roadstead-token-review --serviceaccount=NAMESPACE:REGISTRY" in text
    asked = {"verb": "create", "group": "authentication.k8s.io", "resource": "tokenreviews"}
    replica, other = (f"system:serviceaccount:harbour:{name}" for name in ("harbour", "other"))
    assert not may(server, replica, "system:serviceaccounts", **asked)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "roadstead-token-review"}
    bound = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "roadstead-token-review:harbour:harbour"},
        "roleRef": role,
        "subjects": [{"kind": "ServiceAccount", "name": "harbour", "namespace": "harbour"}],
    }
    apply(server, bound)
    until(lambda: may(server, replica, "system:serviceaccounts", **asked))
    assert not may(server, other, "system:serviceaccounts", **asked)


def may(server: ApiServer, user: str, group: str, /, **attributes: str) -> bool:
    """Whether RBAC lets somebody of this group."""
    asked = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": [group], "resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(server.ask("POST", path, asked)["status"]["allowed"])


def until(holds: Callable[[], bool]) -> None:
    """The API server's informers hear of what was just applied a moment later."""
    for _ in range(200):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it never held")


def rights(rules: list[Object]) -> set[tuple[str, str, str]]:
    """Group, resource and verb, each alone."""
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
