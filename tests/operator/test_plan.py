"""The plan equals the later apply: random edits on a real API server, planned, applied, compared."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as some
from registry_operator.cluster.resources import KNOWN
from registry_operator.models import Key
from registry_operator.names import ANY_ACCOUNT, CERTIFICATES_ROLE, REGISTRY_ROLE, ROUTES_ROLE
from registry_operator.plan.changes import both, diff
from registry_operator.plan.outcome import CERTAIN
from registry_operator.plan.owned import applied
from registry_operator.plan.rehearsal import Write

from registry_runtime.auth.decision import decide
from registry_runtime.auth.globs import matches
from registry_runtime.auth.identity import Endpoint, Identity
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.credential import token_id
from registry_runtime.contract.policy import Action, Policy
from tests.operator.apiserver import Object, Refusal
from tests.operator.commanding import Caller
from tests.operator.installed import crds
from tests.operator.operator_process import (
    RBAC,
    ROOT,
    Cluster,
    Operator,
    controllers,
    settled,
    wait,
)

pytestmark = pytest.mark.cluster
IMAGE = "registry.test/roadstead/registry:test"
NAMESPACES = ("pier", "jetty")
TARGETS = ("shop", "yard")
NOT_HERE = {"cert-manager.io", "gateway.networking.k8s.io"}  # their CRDs are not installed
KINDS = tuple(one for one in KNOWN.values() if one.namespaced and one.kind not in {"Event", "Lease", "Pod"})
S3 = {"bucket": "harbour", "endpoint": "https://s3.test:7070", "credentialsSecretRef": {"name": "s3"}}
API = "roadstead.dev/v1alpha1"
Snapshot = dict[tuple[str, str, str], Object]  # by kind (a Namespace of Roadstead's is one), namespace, name


@dataclass
class Harbour:
    """A Registry with what it has, and who plans and applies."""

    cluster: Cluster
    operator: Operator
    caller: Caller

    def snapshot(self) -> Snapshot:
        found: Snapshot = {}
        for resource in KINDS:
            if resource.group in NOT_HERE:
                continue
            for namespace in ("port", *TARGETS):
                answer = self.cluster.server.ask("GET", resource.path(namespace))
                for obj in answer["items"]:
                    whole = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
                    found[resource.kind, namespace, obj["metadata"]["name"]] = whole
        return found

    def apply(self, obj: Object) -> None:
        kind = "Claim" if obj["kind"] == "Namespace" else obj["kind"]
        metadata = obj["metadata"]
        self.cluster.server.apply(
            self.cluster.path(kind, metadata["namespace"], metadata["name"]), obj, "kubectl"
        )

    def names(self) -> dict[str, str]:
        """AccessTokens by their ids."""
        tokens = self.cluster.list("AccessToken", "port").items()
        return {token_id(obj["metadata"]["uid"]): f"AccessToken port/{name}" for name, obj in tokens}


@pytest.fixture(scope="module")
def harbour(operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    """With a garbage collector, as in a cluster."""
    cluster, folder = Cluster(operator.server), tmp_path_factory.mktemp("plan")
    for namespace in ("port", *TARGETS):
        cluster.namespace(namespace, takes="" if namespace == "yard" else ANY_ACCOUNT)
    cluster.secret("port", "s3", accessKeyID="id", secretAccessKey="key")
    caller = Caller.by_token(operator, folder, operator.server.token)
    with controllers(operator.server, operator.certificate, folder, "garbage-collector-controller"):
        found = Harbour(cluster, operator, caller)
        for obj in (registry(), *(claim(name) for name in NAMESPACES), token("deployer")):
            found.apply(obj)
        wait(lambda: cluster.policy("port").tokens)
        settled(operator)
        yield found


def resource(kind: str, name: str, spec: Object) -> Object:
    return {
        "apiVersion": API,
        "kind": kind,
        "metadata": {"name": name, "namespace": "port"},
        "spec": spec,
    }


def registry(**spec: Any) -> Object:
    return resource("Registry", "harbour", {"hostname": "harbour.example.com", "storage": {"s3": S3}} | spec)


def claim(name: str, **spec: Any) -> Object:
    return resource("Namespace", name, {"registryRef": {"name": "harbour"}, "name": name} | spec)


def token(name: str, **spec: Any) -> Object:
    rights = [{"repositories": ["pier/**"], "actions": ["pull", "push"]}]
    return resource(
        "AccessToken", name, {"registryRefs": [{"name": "harbour"}], "permissions": rights} | spec
    )


globs = some.sampled_from(["pier/**", "pier/app", "pier/*", "jetty/**", "jetty/*/x", "pier/app/**"])
permissions = some.lists(
    some.fixed_dictionaries(
        {
            "repositories": some.lists(globs, min_size=1, max_size=2, unique=True),
            "actions": some.lists(
                some.sampled_from(["pull", "push", "delete"]), min_size=1, max_size=3, unique=True
            ),
        }
    ),
    min_size=1,
    max_size=2,
)
subjects = some.sampled_from(
    [
        {"accessToken": {"name": "deployer"}},
        {"accessToken": {"name": "second"}},
        {"serviceAccount": {"namespace": "shop"}},
    ]
)
access = some.lists(
    some.fixed_dictionaries(
        {
            "role": some.sampled_from(["Reader", "Writer", "Manager"]),
            "subjects": some.lists(subjects, min_size=1, max_size=1),
        }
    ),
    max_size=2,
)
registries = some.fixed_dictionaries(
    {},
    optional={
        "replicas": some.integers(1, 6),
        "privateOnly": some.booleans(),
        "hostname": some.sampled_from(["harbour.example.com", "haven.example.com"]),
        "authentication": some.just({"kubernetes": {}}),
        "resources": some.just({"requests": {"cpu": "500m"}}),
        "exposure": some.sampled_from([{"hosts": ["more.example.com"]}, {"serviceType": "LoadBalancer"}]),
    },
)
tokens = some.fixed_dictionaries(
    {"permissions": permissions},
    optional={
        "suspended": some.booleans(),
        "networks": some.just(["10.0.0.0/8"]),
        "pullSecrets": some.fixed_dictionaries(
            {"namespaces": some.lists(some.sampled_from(TARGETS), min_size=1, max_size=2, unique=True)}
        ),
    },
)
edits = some.one_of(
    registries.map(lambda spec: registry(**spec)),
    some.tuples(some.sampled_from(NAMESPACES), access, some.booleans()).map(
        lambda one: claim(one[0], access=one[1], privateOnly=one[2])
    ),
    some.tuples(some.sampled_from(["deployer", "second"]), tokens).map(lambda one: token(one[0], **one[1])),
)


@dataclass
class Edit:
    """Resources that are applied together, and AccessTokens that are deleted with them."""

    declared: list[Object] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


changes = some.builds(
    Edit,
    some.lists(edits, min_size=1, max_size=3, unique_by=lambda one: (one["kind"], one["metadata"]["name"])),
    some.lists(some.just("second"), max_size=1),
)


@seed(datetime.now(UTC).toordinal())  # another one each day; a failure prints how to come back to it
@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.generate],
    print_blob=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(edit=changes)
def test_the_plan_equals_the_later_apply(harbour: Harbour, edit: Edit) -> None:
    """Objects, what of them changes, who loses or gains access, what is faulty; a plan changes nothing."""
    there = harbour.cluster.list("AccessToken", "port")
    declared = {one["metadata"]["name"] for one in edit.declared if one["kind"] == "AccessToken"}
    deleted = [name for name in edit.deleted if name in there and name not in declared]
    before, policy, named = harbour.snapshot(), harbour.cluster.policy("port"), harbour.names()
    faulty = faults(before)
    words = [word for name in deleted for word in ("--delete", f"at/port/{name}")]
    text = "---\n".join(yaml.safe_dump(one) for one in edit.declared)
    planned = harbour.caller.document("plan", "-f", "-", *words, "--image", IMAGE, stdin=text)
    assert not planned["refused"], planned
    assert changed(before, harbour.snapshot()) == {}, "a plan changes nothing"

    for one in edit.declared:
        harbour.apply(one)
    for name in deleted:
        harbour.cluster.delete("AccessToken", "port", name)
    wanted = {(one["kind"], one["namespace"], one["name"]): one for one in planned["changes"]}
    for place in (place for place, one in wanted.items() if one["verb"] == "delete"):
        wait(partial(is_gone, harbour, place), sentence=f"{place} stayed")
    settled(harbour.operator)
    after = harbour.snapshot()

    really = changed(before, after)
    assert {place: one["verb"] for place, one in wanted.items()} == {
        as_planned(place, verb): verb for place, verb in really.items()
    }
    for place, verb in really.items():
        if verb == "change" and place[0] != "Secret":
            assert told(wanted[place]["diff"]) == told(difference(before[place], after[place])), place
    rolls = any(one["why"].startswith("roll") for one in planned["pods"])
    deployment = ("Deployment", "port", "harbour")
    templates = [one[deployment]["spec"]["template"] for one in (before, after)]
    assert rolls == (templates[0] != templates[1])
    compare(planned, policy, harbour.cluster.policy("port"), named | harbour.names())
    foreseen = {(one["kind"], one["name"], one["reason"]) for one in planned["conditions"]}
    assert foreseen == faults(after) - faulty


def faults(there: Snapshot) -> set[tuple[str, str, str]]:
    """Reasons, certain before anything runs, for which a condition is False."""
    return {
        (kind, name, condition["reason"])
        for (kind, _, name), obj in there.items()
        if obj["apiVersion"] == API
        for condition in obj.get("status", {}).get("conditions") or ()
        if (condition["status"], condition["reason"] in CERTAIN) == ("False", True)
    }


def as_planned(place: tuple[str, str, str], verb: str) -> tuple[str, str, str]:
    """Shards of a policy are planned as one: which it is depends on UIDs that are not there yet."""
    kind, namespace, name = place
    return kind, namespace, re.sub(r"-policy-\d$", "-policy-*", name) if verb == "change" else name


def is_gone(harbour: Harbour, place: tuple[str, str, str]) -> bool:
    kind = "Claim" if place[0] == "Namespace" else place[0]
    return harbour.cluster.get(kind, *place[1:]) is None


def changed(before: Snapshot, after: Snapshot) -> dict[tuple[str, str, str], str]:
    """What really happened to each object, apart from its status."""
    found = {}
    for place in before.keys() | after.keys():
        old, new = before.get(place), after.get(place)
        if old is None or new is None:
            found[place] = "create" if old is None else "delete"
        elif content(old) != content(new):
            found[place] = "change"
    return found


def content(obj: Object) -> Object:
    metadata = {name: obj["metadata"].get(name) for name in ("uid", "labels", "annotations")}
    rest = {name: value for name, value in obj.items() if name not in {"metadata", "status"}}
    return {**rest, "metadata": metadata}


def difference(before: Object, after: Object) -> tuple[str, ...]:
    """Of what is said of the object by whoever writes it."""
    kind = next(one for one in KINDS if (one.api_version, one.kind) == (after["apiVersion"], after["kind"]))
    key = Key(after["metadata"]["namespace"], after["metadata"]["name"])
    said = after if kind.group == "roadstead.dev" else applied(after, after)
    return diff(*both(Write(kind, key, before, said)))


def told(lines: Any) -> list[str]:
    return [line for line in lines if line[:1] in {"+", "-"}]


def compare(planned: Any, before: Policy, after: Policy, named: dict[str, str]) -> None:
    """Each decision that is another one was planned, and what was planned is another one."""
    found = planned["clients"].get("port/harbour", {"lost": [], "gained": []})
    names = ("pier/app", "pier/other", "pier/app/deep", "jetty/app", "jetty/app/x")
    for id_, who in named.items():
        for name in names:
            for action in Action:
                for door in Endpoint:
                    was, will = (may(policy, id_, name, action, door) for policy in (before, after))
                    if was != will:
                        side = "lost" if was else "gained"
                        assert any(is_of(one, who, name, action, door) for one in found[side]), (
                            side,
                            who,
                            name,
                            action,
                            door,
                        )
    ids = {who: id_ for id_, who in named.items()}
    for side, sign in (("lost", True), ("gained", False)):
        for one in (one for one in found[side] if one["client"] in ids):
            for action in one["actions"]:
                door = Endpoint.PUBLIC if one["domain"] != "private" else Endpoint.PRIVATE
                id_ = ids[one["client"]]
                assert may(before, id_, one["example"], Action(action), door) is sign, one
                assert may(after, id_, one["example"], Action(action), door) is not sign, one


def may(policy: Policy, id_: str, name: str, action: Action, door: Endpoint) -> bool:
    identity = Identity(id_, source="10.0.0.1")
    return decide(policy, identity, door, RepositoryName.parse(name), action, now=datetime.now(UTC)).allowed


def is_of(one: Object, who: str, name: str, action: Action, door: Endpoint) -> bool:
    domain = one["domain"] in {str(door), "public and private"}
    right = one["client"] == who and str(action) in one["actions"] and domain
    return right and matches(one["repositories"], name)


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


def binding(namespace: str, role: str) -> Object:
    """What the command of a condition makes."""
    account = {"kind": "ServiceAccount", "namespace": "roadstead-system", "name": "roadstead-operator"}
    whole = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role, "namespace": namespace},
        "roleRef": whole,
        "subjects": [account],
    }


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
