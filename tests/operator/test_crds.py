"""The CRDs on a real API server: what is refused, with which sentence, and what is filled in."""

from __future__ import annotations

import copy
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from registry_operator.models import AccessToken, Namespace, Registry

from local_cluster.build import cache_root
from local_cluster.parts import Parts
from tests.operator.apiserver import ApiServer, Object, Refusal

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PLURALS = {"Registry": "registries", "Namespace": "namespaces", "AccessToken": "accesstokens"}

S3 = {"bucket": "harbour", "endpoint": "https://s3.test:7070", "credentialsSecretRef": {"name": "s3"}}
VALID: dict[str, Object] = {
    "Registry": {"hostname": "harbour.example.com", "storage": {"s3": S3}},
    "Namespace": {"registryRef": {"name": "harbour"}, "name": "pier-one"},
    "AccessToken": {
        "registryRefs": [{"name": "harbour"}],
        "permissions": [{"repositories": ["pier-one/**"], "actions": ["pull", "push"]}],
        "pullSecrets": {"namespaces": ["shop"]},
    },
}


@pytest.fixture(scope="module")
def server(fresh: ApiServer) -> ApiServer:
    for file in sorted((ROOT / "crds").glob("*.roadstead.dev.yaml")):
        crd = yaml.safe_load(file.read_text())
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        fresh.ask("POST", path, crd)
        _until_served(fresh, f"{path}/{crd['metadata']['name']}")
    return fresh


def _until_served(server: ApiServer, path: str) -> None:
    while True:
        conditions = server.ask("GET", path).get("status", {}).get("conditions") or []
        found = {one["type"]: one for one in conditions}
        assert found.get("NonStructuralSchema", {}).get("status") != "True", found
        if found.get("Established", {}).get("status") == "True":
            return


def resource(kind: str, called: str = "harbour", /, **spec: Any) -> Object:
    """A valid resource, some of its spec replaced; None removes a field."""
    whole = copy.deepcopy(VALID[kind]) | spec
    return {
        "apiVersion": "roadstead.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": called},
        "spec": {key: value for key, value in whole.items() if value is not None},
    }


def path(kind: str) -> str:
    return f"/apis/roadstead.dev/v1alpha1/namespaces/default/{PLURALS[kind]}"


def create(server: ApiServer, body: Object, *, dry: bool = True) -> Object:
    return server.ask("POST", path(body["kind"]) + ("?dryRun=All" if dry else ""), body)


def s3(**changes: Any) -> Object:
    return {"s3": {key: value for key, value in (S3 | changes).items() if value is not None}}


ROLE = "arn:aws:iam::123456789012:role/team/harbour"


def by_identity(**identity: Any) -> Object:
    return s3(credentialsSecretRef=None, workloadIdentity=identity)


def under(kind: str, **more: Any) -> Object:
    """Server-side encryption; what begins with an underscore is of the storage itself."""
    own = {name[1:]: value for name, value in more.items() if name.startswith("_")}
    sse = {name: value for name, value in more.items() if not name.startswith("_")}
    return s3(serverSideEncryption={"type": kind, **sse}, **own)


def ingress(annotation: str) -> Object:
    return {"ingress": {"annotations": {annotation: "x"}}}


PER_REPLICA = {
    "type": "Pods",
    "pods": {"metric": {"name": "requests"}, "target": {"type": "AverageValue", "averageValue": "100"}},
}
KEYS = {"keySecretRef": {"name": "keys"}, "activeKey": "k1"}
ONE_OF = {"s3": S3, "ephemeral": {}}
ROBOT = {"accessToken": {"name": "robot"}}
REFUSED = [
    (resource("Registry", "h" * 41), "metadata.name must be at most 40"),
    (resource("Registry", "7seas"), "metadata.name must be at most 40"),
    (resource("Registry", hostname=None), "spec.hostname: Required value"),
    (resource("Registry", hostname="harbour"), "spec.hostname"),
    (resource("Registry", hostname="Harbour.example.com"), "spec.hostname"),
    (resource("Registry", privateHostname="harbour.example.com"), "spec.privateHostname must differ"),
    (resource("Registry", replicas=0), "spec.replicas"),
    (resource("Registry", zones={"minimum": 0}), "spec.zones.minimum"),
    (resource("Registry", storage=None), "spec.storage: Required value"),
    (resource("Registry", storage={}), "spec.storage must have exactly one of s3 and ephemeral"),
    (resource("Registry", storage=ONE_OF), "spec.storage must have exactly one of s3 and ephemeral"),
    (resource("Registry", storage={"ephemeral": {}}), "spec.replicas must be 1 with spec.storage.ephemeral"),
    (resource("Registry", storage=s3(endpoint="http://s3.test")), "or set spec.storage.s3.insecure: true"),
    (resource("Registry", storage=s3(endpoint="s3.test")), "spec.storage.s3.endpoint"),
    (resource("Registry", storage=s3(endpoint="https://user:pass@s3.test")), "spec.storage.s3.endpoint"),
    (resource("Registry", storage=s3(bucket="No")), "spec.storage.s3.bucket"),
    (resource("Registry", storage=s3(prefix="../other")), "spec.storage.s3.prefix"),
    (resource("Registry", storage=s3(credentialsSecretRef=None)), "one of credentialsSecretRef and workload"),
    (resource("Registry", storage=s3(workloadIdentity={})), "one of credentialsSecretRef and workload"),
    (
        resource("Registry", storage=by_identity(stsEndpoint="https://sts.test")),
        "spec.storage.s3.workloadIdentity.stsEndpoint is for a roleARN",
    ),
    (resource("Registry", storage=by_identity(roleARN="arn:aws:iam::1:user/x")), "workloadIdentity.roleARN"),
    (
        resource("Registry", storage=by_identity(roleARN=ROLE, stsEndpoint="http://sts.test")),
        "spec.storage.s3.workloadIdentity.stsEndpoint must begin with https://",
    ),
    (resource("Registry", storage=under("SSE-X")), "spec.storage.s3.serverSideEncryption.type"),
    (resource("Registry", storage=under("SSE-C")), "keySecretRef must be there with SSE-C, and only there"),
    (
        resource("Registry", storage=under("SSE-KMS", keySecretRef={"name": "x"})),
        "keySecretRef must be there with SSE-C, and only there",
    ),
    (resource("Registry", storage=under("SSE-S3", keyID="x")), "keyID is for SSE-KMS"),
    (resource("Registry", storage=under("SSE-KMS", keyID="alias/x")), "must be the key's id or ARN"),
    (
        resource(
            "Registry",
            storage=under("SSE-C", keySecretRef={"name": "x"}, _endpoint="http://s3.test", _insecure=True),
        ),
        "SSE-C sends its key with each request",
    ),
    (
        resource("Registry", tls={"selfSigned": {}, "secretRef": {"name": "x"}}),
        "spec.tls must have at most one of selfSigned, secretRef and issuerRef",
    ),
    (
        resource("Registry", tls={"secretRef": {"name": "x"}, "issuerRef": {"name": "x"}}),
        "spec.tls must have at most one of selfSigned, secretRef and issuerRef",
    ),
    (
        resource("Registry", tls={"issuerRef": {"name": "x", "kind": "Vault"}}),
        "spec.tls.issuerRef.kind of group cert-manager.io is Issuer or ClusterIssuer",
    ),
    (
        resource("Registry", exposure=ingress("nginx.ingress.kubernetes.io/server-snippet")),
        "spec.exposure.ingress.annotations must not have snippets",
    ),
    (
        resource("Registry", exposure=ingress("cert-manager.io/cluster-issuer")),
        "use spec.tls.issuerRef and className",
    ),
    (
        resource("Registry", exposure={"gateway": {"parentRefs": [], "kind": "TLSRoute"}}),
        "spec.exposure.gateway.parentRefs",
    ),
    (
        resource(
            "Registry",
            exposure={
                "gateway": {"parentRefs": [{"name": "edge"}], "kind": "TLSRoute"},
                "hosts": [f"h{number}.example.com" for number in range(16)],
            },
        ),
        "spec.exposure.hosts has at most 15 names with a gateway",
    ),
    (
        resource("Registry", exposure={"hosts": ["private.harbour.example.com"]}),
        "spec.exposure.hosts must not contain the private host name",
    ),
    (
        resource("Registry", allowedNamespaces={"from": "Selector"}),
        "spec.allowedNamespaces.selector is required with from: Selector",
    ),
    (
        resource("Registry", allowedNamespaces={"from": "All", "selector": {}}),
        "spec.allowedNamespaces.selector is required with from: Selector",
    ),
    *((resource("Registry", exposure={"privateNetworks": [text]}), "a subnet is written as") for text in (
        "10.0.0.0/33", "10.0.0/8", "1:2:3/64", "10.0.0.300/8",
    )),
    (resource("Registry", exposure={"privateNetworks": ["anybody"]}), "spec.exposure.privateNetworks[0]"),
    (resource("Registry", resources={"limits": {"memory": "much"}}), "spec.resources.limits.memory"),
    (
        resource("Registry", autoscaling={"minReplicas": 5, "maxReplicas": 4}),
        "spec.autoscaling.minReplicas must not be more than maxReplicas",
    ),
    (resource("Registry", autoscaling={}), "spec.autoscaling.maxReplicas: Required value"),
    (
        resource("Registry", autoscaling={"maxReplicas": 4}, storage={"ephemeral": {}}, replicas=1),
        "spec.autoscaling is not possible with spec.storage.ephemeral",
    ),
    (
        resource("Registry", autoscaling={"maxReplicas": 4}, resources={"requests": {"memory": "64Mi"}}),
        "spec.autoscaling needs spec.resources.requests.cpu",
    ),
    (
        resource("Registry", autoscaling={"maxReplicas": 4, "metrics": [{"type": "Pods"}]}),
        "a metric has one of resource, pods, object, external",
    ),
    (
        resource("Registry", autoscaling={"maxReplicas": 4, "metrics": [PER_REPLICA | {"external": {
            "metric": {"name": "x"}, "target": {"type": "Value", "value": 1}}}]}),
        "a metric has one of resource, pods, object, external",
    ),
    (
        resource("Registry", autoscaling={"maxReplicas": 4, "metrics": [
            {"type": "Resource", "resource": {"name": "memory", "target": {"type": "Value"}}}]}),
        "a metric's target has one of averageUtilization, value, averageValue",
    ),
    (resource("Registry", tls={"selfSigned": {"caNotice": "soon"}}), "spec.tls.selfSigned.caNotice"),
    (resource("Registry", encryption={"activeKey": "k1"}), "spec.encryption.keySecretRef: Required value"),
    (resource("Registry", encryption={"keySecretRef": {"name": "keys"}}), "encryption.activeKey: Required"),
    *((resource("Registry", encryption=KEYS | {"activeKey": name}), "spec.encryption.activeKey") for name in (
        "", ".k1", "..data", "a/b", "k 1", "k" * 254,
    )),
    *((resource("Registry", collection={"every": every}), "spec.collection.every") for every in (
        "0h", "59s", "often", "1h30m",
    )),
    (resource("Registry", collection={"grace": "0s"}), "spec.collection.grace"),
    (resource("Namespace", name=None), "spec.name: Required value"),
    *((resource("Namespace", name=name), "spec.name") for name in (
        "abc", "a" * 31, "-pier", "pier-", "Pier", "pier.one", "pier/one", "pier___one", "pier_-one",
    )),
    (resource("Namespace", registryRef={}), "spec.registryRef.name: Required value"),
    *((resource("Namespace", access=[{"role": "Reader", "subjects": [subject]}]), said) for subject, said in (
        ({}, "a subject has exactly one of accessToken, serviceAccount and oidc"),
        (ROBOT | {"serviceAccount": {}}, "a subject has exactly one of"),
        ({"oidc": {"provider": "forge"}}, "it would be everybody"),
        ({"oidc": {"provider": "forge", "claims": {}}}, "it would be everybody"),
        ({"serviceAccount": {"namespace": "no/name"}}, "subjects[0].serviceAccount.namespace"),
    )),
    (resource("Namespace", access=[{"role": "Owner", "subjects": [ROBOT]}]), "spec.access[0].role"),
    (resource("Namespace", access=[{"role": "Reader", "subjects": []}]), "spec.access[0].subjects"),
    (
        resource("Namespace", access=[{"role": "Reader", "subjects": [ROBOT], "repositories": ["/../x"]}]),
        "spec.access[0].repositories[0]",
    ),
    (resource("AccessToken", networks=["10.0.0.0/33"]), "a subnet is written as"),
    (resource("AccessToken", "t" * 59), "metadata.name must be at most 58"),
    (resource("AccessToken", registryRefs=[]), "spec.registryRefs"),
    (
        resource("AccessToken", expiresAfter="90d", expiresAt="2030-01-01T00:00:00Z"),
        "spec.expiresAfter and spec.expiresAt exclude each other",
    ),
    *((resource("AccessToken", expiresAfter=life), "spec.expiresAfter") for life in (
        "0d", "soon", "1h30m", "-1d",
    )),
    (resource("AccessToken", expiresAt="tomorrow"), "spec.expiresAt"),
    (
        resource("AccessToken", permissions=[{"repositories": ["pier-one/**"], "actions": ["own"]}]),
        "spec.permissions[0].actions[0]",
    ),
    (
        resource("AccessToken", permissions=[{"repositories": ["/pier"], "actions": ["pull"]}]),
        "spec.permissions[0].repositories[0]",
    ),
    (resource("AccessToken", permissions=[{"repositories": [], "actions": ["pull"]}]), "spec.permissions[0]"),
    (resource("AccessToken", pullSecrets={}), "spec.pullSecrets must name its targets"),
    (
        resource("AccessToken", secretName="harbour-pull"),
        "spec.pullSecrets.name must differ from spec.secretName",
    ),
    (
        resource("AccessToken", pullSecrets={"namespaces": ["shop"], "name": "harbour"}),
        "spec.pullSecrets.name must differ from spec.secretName",
    ),
]  # fmt: skip

ACCEPTED = [
    resource("Registry"),
    resource("Registry", "h" * 40),
    resource("Registry", storage=s3(endpoint=None)),
    resource("Registry", storage=s3(endpoint="http://s3.test", insecure=True)),
    resource("Registry", storage=s3(endpoint="https://[fd00::1]:9000/", prefix="a/b.c/")),
    resource("Registry", storage=s3(prefix="", caBundleRef={"name": "s3-ca"})),
    resource("Registry", storage=by_identity()),
    resource("Registry", storage=by_identity(roleARN=ROLE, stsEndpoint="https://sts.test:8081")),
    resource("Registry", storage=under("SSE-S3")),
    resource("Registry", storage=under("SSE-KMS", keyID="arn:aws:kms:eu-central-1:123456789012:key/1-2")),
    resource("Registry", storage=under("SSE-C", keySecretRef={"name": "sse"})),
    resource("Registry", storage={"ephemeral": {}}, replicas=1, zones={"minimum": 1}),
    resource("Registry", tls={}),
    resource("Registry", tls={"secretRef": {"name": "public"}}),
    resource("Registry", exposure={"serviceType": "LoadBalancer", "hosts": ["other.example.com"]}),
    resource("Registry", exposure={"privateNetworks": ["198.51.100.0/24", "0.0.0.0/0", "::/0", "fd00::/8"]}),
    resource("Registry", allowedNamespaces={"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}),
    resource("Registry", autoscaling={"maxReplicas": 12}),
    resource(
        "Registry",
        autoscaling={
            "minReplicas": 2,
            "maxReplicas": 2,
            "metrics": [PER_REPLICA],
            "behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}},
        },
    ),
    resource("Registry", tls={"selfSigned": {"caGeneration": 2, "caNotice": "1h"}}),
    resource("Registry", encryption=KEYS),
    resource("Registry", encryption=KEYS | {"activeKey": "2026-11_a.key"}),
    resource("Registry", collection={"every": "1m", "grace": "1s"}),
    resource("Registry", resources={"requests": {"cpu": 1, "memory": "64Mi"}}),
    *(
        resource("Namespace", name=name)
        for name in ("pier", "a" * 30, "pier--one", "pier__one", "1234", "a_b-c")
    ),
    resource("AccessToken"),
    resource("AccessToken", permissions=None, pullSecrets=None, expiresAfter="3650d"),
    resource("AccessToken", pullSecrets={"selector": {}, "domains": ["Private"]}, suspended=True),
    resource("AccessToken", expiresAt="2030-01-01T00:00:00+02:00"),
]


@pytest.mark.parametrize(
    ("body", "sentence"), REFUSED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_wrong_resource_is_refused_with_the_field(server: ApiServer, body: Object, sentence: str) -> None:
    """The API server itself names the field and says what would be right."""
    with pytest.raises(Refusal) as refused:
        create(server, body)
    assert refused.value.code == 422
    assert sentence in refused.value.message


@pytest.mark.parametrize("body", ACCEPTED)
def test_a_right_resource_is_accepted_and_read_back(server: ApiServer, body: Object) -> None:
    """What the API server accepts and fills in is what the models can read."""
    stored = create(server, body)
    kinds: dict[str, type[Registry | Namespace | AccessToken]] = {
        "Registry": Registry,
        "Namespace": Namespace,
        "AccessToken": AccessToken,
    }
    assert kinds[body["kind"]].parse(stored).meta.name == body["metadata"]["name"]
    assert stored["status"]["observedGeneration"] == -1


def test_defaults_are_written_into_the_resource(server: ApiServer) -> None:
    """The least Registry that one can write says in full what it means."""
    spec = create(server, resource("Registry"))["spec"]
    assert spec["replicas"] == 3
    assert spec["zones"] == {"minimum": 3}
    assert spec["allowedNamespaces"] == {"from": "Same"}
    assert spec["exposure"] == {"serviceType": "ClusterIP"}
    assert spec["storage"]["s3"]["pathStyle"] is True
    assert spec["resources"]["limits"] == {"memory": "1Gi"}
    assert spec["collection"] == {"every": "6h", "grace": "24h"}
    assert create(server, resource("AccessToken"))["spec"]["pullSecrets"]["domains"] == ["Public", "Private"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": "pier-two"}, "spec.name is immutable"),
        ({"registryRef": {"name": "other"}}, "spec.registryRef is immutable"),
        ({"registryRef": {"name": "harbour", "namespace": "other"}}, "spec.registryRef is immutable"),
    ],
)
def test_a_claim_never_moves(server: ApiServer, change: Object, sentence: str) -> None:
    """The claimed name and its Registry are what a Namespace is."""
    body = resource("Namespace", "immutable")
    server.apply(f"{path('Namespace')}/immutable", body)
    body["spec"] |= change
    with pytest.raises(Refusal) as refused:
        server.apply(f"{path('Namespace')}/immutable", body)
    assert sentence in refused.value.message


def test_encryption_begins_with_the_registry_or_never(server: ApiServer) -> None:
    """It is neither added to a Registry nor taken from it; which keys are used may change at any time."""
    for called, before, after in (("plain", None, KEYS), ("encrypted", KEYS, None)):
        place = f"{path('Registry')}/{called}"
        server.apply(place, resource("Registry", called, encryption=before))
        with pytest.raises(Refusal) as refused:
            server.apply(place, resource("Registry", called, encryption=after))
        assert refused.value.code == 422
        assert "spec.encryption is set when the Registry is created" in refused.value.message
        server.apply(place, resource("Registry", called, encryption=before, replicas=5))
    others = {"keySecretRef": {"name": "others"}, "activeKey": "k2"}
    turned = server.apply(place, resource("Registry", "encrypted", encryption=others))
    assert turned["spec"]["encryption"] == others


def test_the_documented_bucket_is_accepted(server: ApiServer) -> None:
    """The example of docs/s3.md is one."""
    found = re.search(r"```yaml\n(.*?)```", (ROOT / "docs" / "s3.md").read_text(), re.DOTALL)
    assert found
    body = resource("Registry", storage=yaml.safe_load(found[1])["storage"])
    declared = Registry.parse(create(server, body)).spec.storage.s3
    assert declared
    assert declared.server_side_encryption
    assert declared.server_side_encryption.type == "SSE-KMS"


def test_a_customers_key_comes_with_the_bucket(server: ApiServer) -> None:
    """SSE-C is neither added nor removed over content; another bucket may begin with it."""
    place, sse = f"{path('Registry')}/customer", {"keySecretRef": {"name": "sse"}}
    server.apply(place, resource("Registry", "customer", storage=under("SSE-KMS")))
    with pytest.raises(Refusal) as refused:
        server.apply(place, resource("Registry", "customer", storage=under("SSE-C", **sse)))
    assert "never added or removed later" in refused.value.message
    server.apply(place, resource("Registry", "customer", storage=under("SSE-C", _bucket="other", **sse)))
    with pytest.raises(Refusal):
        server.apply(place, resource("Registry", "customer", storage=s3(bucket="other")))


def kustomized(folder: Path) -> list[Object]:
    kubectl = Parts(cache_root()).binary("kubectl")
    printed = subprocess.run([kubectl, "kustomize", folder], check=True, capture_output=True, timeout=60)
    return list(yaml.safe_load_all(printed.stdout))


def documented() -> Iterator[tuple[str, Object]]:
    """What the documentation shows as YAML, and the examples as kustomize renders them; with its page."""
    for page in sorted((ROOT / "docs").glob("*.md")):
        for body in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            yield from ((page.name, one) for one in yaml.safe_load_all(body))
    yield from (("examples", one) for one in kustomized(EXAMPLES / "tenants" / "harbour"))


def test_every_resource_of_the_documentation_is_accepted(server: ApiServer) -> None:
    """To the letter: no unknown field, nothing that a rule refuses."""
    ours = [(page, one) for page, one in documented() if isinstance(one, dict) and whole(one)]
    for space in {one["metadata"].setdefault("namespace", "default") for _, one in ours} - {"default"}:
        server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": space}})
    for page, one in ours:
        place = path(one["kind"]).replace("default", one["metadata"]["namespace"])
        assert server.ask("POST", f"{place}?dryRun=All&fieldValidation=Strict", one)["spec"], page
    seen = Counter(page for page, _ in ours)
    assert {"encryption.md", "first-registry.md", "tokens.md", "pull-secrets.md", "examples"} <= seen.keys()
    assert seen["examples"] == 3


def whole(document: Object) -> bool:
    """It is a resource of ours, and no part of one."""
    return document.get("apiVersion") == "roadstead.dev/v1alpha1"


def test_argo_cd_renders_the_operator_as_its_example_says(tmp_path: Path) -> None:
    """Both images are those of the platform's registry, and no CRD is pruned."""
    application = yaml.safe_load((EXAMPLES / "argo-cd" / "operator.yaml").read_text())
    said = application["spec"]["source"]["kustomize"]
    ((name, image),) = [one.split("=") for one in said["images"]]
    new, _, tag = image.rpartition(":")
    overlay = {
        "resources": [os.path.relpath(ROOT / "manifests", tmp_path)],
        "images": [{"name": name, "newName": new, "newTag": tag}],
        "patches": said["patches"],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    rendered = kustomized(tmp_path)
    (deployment,) = [one for one in rendered if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == image
    assert container["env"][0]["value"].startswith("example.com/roadstead/runtime:")
    kept = [one["metadata"]["annotations"] for one in rendered if one["kind"] == "CustomResourceDefinition"]
    assert kept == [{"argocd.argoproj.io/sync-options": "Prune=false,Delete=false"}] * 3


def test_a_choice_can_be_changed_by_the_next_apply(server: ApiServer) -> None:
    """What a default filled in never stands beside what a later apply chooses."""
    place = f"{path('Registry')}/choosing"
    server.apply(place, resource("Registry", "choosing"))
    chosen = server.apply(place, resource("Registry", "choosing", tls={"secretRef": {"name": "public"}}))
    assert chosen["spec"]["tls"] == {"secretRef": {"name": "public"}}
    selector = {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}
    server.apply(place, resource("Registry", "choosing", allowedNamespaces=selector))
    back = server.apply(place, resource("Registry", "choosing", storage={"ephemeral": {}}, replicas=1))
    assert back["spec"]["storage"] == {"ephemeral": {}}
    assert back["spec"]["allowedNamespaces"] == {"from": "Same"}


def test_scale_reads_and_writes_the_replicas(server: ApiServer) -> None:
    """kubectl scale, and later an autoscaler, change a Registry through its scale subresource."""
    create(server, resource("Registry", "scaled"), dry=False)
    place = f"{path('Registry')}/scaled"
    scale = server.ask("GET", f"{place}/scale")
    assert scale["spec"]["replicas"] == 3
    scale["spec"]["replicas"] = 6
    server.ask("PUT", f"{place}/scale", scale)
    assert server.ask("GET", place)["spec"]["replicas"] == 6


def test_scale_is_refused_while_an_autoscaler_has_the_replicas(server: ApiServer) -> None:
    """It would change nothing, so it is said; together with the autoscaler's end it is taken."""
    create(server, resource("Registry", "followed", autoscaling={"maxReplicas": 6}), dry=False)
    place = f"{path('Registry')}/followed"
    scale = server.ask("GET", f"{place}/scale")
    scale["spec"]["replicas"] = 4
    with pytest.raises(Refusal, match=r"spec\.replicas has no effect with spec\.autoscaling"):
        server.ask("PUT", f"{place}/scale", scale)
    patch = {"spec": {"replicas": 4, "autoscaling": None}}
    assert server.ask("PATCH", place, patch, "application/merge-patch+json")["spec"]["replicas"] == 4


@pytest.mark.parametrize(
    ("kind", "selector"),
    [("Namespace", "spec.name%3Dpier-one"), ("Registry", "spec.hostname%3Dharbour.example.com")],
)
def test_resources_are_selected_by_field(server: ApiServer, kind: str, selector: str) -> None:
    """The fields that others are found by can be asked for."""
    server.apply(f"{path(kind)}/found", resource(kind, "found"))
    found = server.ask("GET", f"{path(kind)}?fieldSelector={selector}")["items"]
    assert "found" in {one["metadata"]["name"] for one in found}
    assert server.ask("GET", f"{path(kind)}?fieldSelector={selector}-not")["items"] == []


@pytest.mark.parametrize("kind", PLURALS)
def test_columns_and_names_for_kubectl(server: ApiServer, kind: str) -> None:
    """A table is printed with a column for readiness, and each kind has its short name and category."""
    names = server.ask("GET", "/apis/roadstead.dev/v1alpha1")["resources"]
    found = {one["name"]: one for one in names}[PLURALS[kind]]
    assert found["categories"] == ["roadstead"]
    assert found["shortNames"] == [{"Registry": "reg", "Namespace": "rns", "AccessToken": "at"}[kind]]
    crd = server.ask(
        "GET",
        f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{PLURALS[kind]}.roadstead.dev",
    )
    columns = [column["name"] for column in crd["spec"]["versions"][0]["additionalPrinterColumns"]]
    assert "Ready" in columns


@pytest.mark.parametrize("page", ["tls.md", "exposure.md"])
def test_the_documented_specs_are_accepted(server: ApiServer, page: str) -> None:
    """Each example of the page, in a Registry that has nothing else of its own."""
    examples = re.findall(r"```yaml\n(.+?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    assert len(examples) > 1
    for example in examples:
        made = create(server, resource("Registry", **yaml.safe_load(example)["spec"]))
        assert Registry.parse(made)
