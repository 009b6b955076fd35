"""The operator against a real API server: what it makes, what it repairs, what it leaves alone."""

import base64
import hashlib
import json
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from registry_operator.names import SECRETS_ROLE

from tests.certificates import Authority
from tests.operator.apiserver import Object
from tests.operator.operator_process import Cluster, Operator, settled, wait

pytestmark = pytest.mark.cluster
CHILDREN = {
    "ConfigMap": {"harbour-config", "harbour-claims", "harbour-ca-bundle"},
    "Service": {"harbour", "harbour-private"},
    "ServiceAccount": {"harbour"},
    "Deployment": {"harbour"},
    "PodDisruptionBudget": {"harbour"},
    "NetworkPolicy": {"harbour"},
    "Role": {"harbour"},
    "Secret": {"harbour-ca", "harbour-internal", "harbour-operator", "harbour-tls"}
    | {f"harbour-policy-{shard}" for shard in range(4)},
}


def grants(cluster: Cluster, namespace: str) -> list[tuple[str, ...]]:
    tokens = cluster.policy(namespace).tokens.values()
    return [grant.repositories for token in tokens for grant in token.grants]


def there(cluster: Cluster, namespace: str) -> bool:
    return all(names <= cluster.list(kind, namespace).keys() for kind, names in CHILDREN.items())


def versions(cluster: Cluster, *namespaces: str) -> dict[str, str]:
    """The resource version of everything that the operator could write."""
    return {
        f"{kind} {namespace}/{name}": obj["metadata"]["resourceVersion"]
        for namespace in namespaces
        for kind in [*CHILDREN, "RoleBinding", "Registry", "AccessToken", "Claim"]
        for name, obj in cluster.list(kind, namespace).items()
    }


def password(cluster: Cluster, namespace: str, name: str) -> str:
    secret = cluster.get("Secret", namespace, name)
    return base64.b64decode(secret["data"]["password"]).decode() if secret else ""


def test_a_registry_has_all_its_children(cluster: Cluster) -> None:
    """From the apply to the last child; the rollout itself is Kubernetes' part."""
    cluster.namespace("children")
    cluster.secret("children", "s3", accessKeyID="id", secretAccessKey="AKIASECRETVALUE")
    cluster.registry("children")
    wait(lambda: there(cluster, "children"))
    deployment = cluster.get("Deployment", "children", "harbour")
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 3
    assert wait(lambda: cluster.condition("Registry", "children", "harbour", "Ready"))["status"] == "False"


def test_a_role_and_a_customers_key_reach_the_pods(cluster: Cluster) -> None:
    """The API server takes the token's volume as it is meant; the key's Secret may come later."""
    cluster.namespace("roles")
    identity = {"roleARN": "arn:aws:iam::123456789012:role/harbour", "audience": "the-sts"}
    sse = {"type": "SSE-C", "keySecretRef": {"name": "sse"}}
    s3 = {"bucket": "harbour", "workloadIdentity": identity, "serverSideEncryption": sse}
    cluster.registry("roles", storage={"s3": s3})
    deployment = wait(lambda: cluster.get("Deployment", "roles", "harbour"))
    volumes = {one["name"]: one for one in deployment["spec"]["template"]["spec"]["volumes"]}
    (source,) = volumes["identity"]["projected"]["sources"]
    assert source["serviceAccountToken"] == {
        "audience": "the-sts",
        "expirationSeconds": 3600,
        "path": "token",
    }
    assert volumes["sse"]["secret"]["items"] == [{"key": "key", "path": "key"}]

    def reason() -> str:
        return str(cluster.condition("Registry", "roles", "harbour", "StorageReady").get("reason"))

    wait(lambda: reason() == "SecretNotFound")
    cluster.secret("roles", "sse", key="x" * 32)
    wait(lambda: reason() == "Checking")


def test_a_pod_is_told_that_a_mounted_secret_changed(cluster: Cluster) -> None:
    """An annotation, which makes its kubelet look at once; it names no value."""
    cluster.namespace("mounts")
    cluster.secret("mounts", "s3", accessKeyID="id", secretAccessKey="first")
    cluster.registry("mounts")
    deployment = wait(lambda: cluster.get("Deployment", "mounts", "harbour"))
    template = deployment["spec"]["template"]
    container = {"name": "registry", "image": "registry.test/any"}
    pod = {"metadata": template["metadata"] | {"name": "harbour-0"}, "spec": {"containers": [container]}}
    cluster.server.ask("POST", "/api/v1/namespaces/mounts/pods", pod)
    wait(lambda: cluster.condition("Registry", "mounts", "harbour", "Ready"))

    def told() -> str | None:
        found = cluster.get("Pod", "mounts", "harbour-0") or {"metadata": {}}
        return annotations_of(found).get("roadstead.dev/credentials-revision")

    passwords = iter(f"turned-{number}" for number in range(100))

    def turned() -> str | None:
        cluster.secret("mounts", "s3", accessKeyID="id", secretAccessKey=next(passwords))
        time.sleep(0.3)
        return told()

    assert "turned" not in wait(turned)


def test_the_bundle_of_an_own_ca_goes_with_it(cluster: Cluster, tmp_path: Path) -> None:
    """Who brings certificates leaves no CA behind that clients would go on to trust, once they are there.

    And who comes back finds the very CA that clients were told of, not another one.
    """
    cluster.namespace("bundles")
    cluster.registry("bundles", tls={"selfSigned": {"caGeneration": 2}})
    own = wait(lambda: cluster.get("ConfigMap", "bundles", "harbour-ca-bundle"))["data"]
    cluster.registry("bundles", tls={"secretRef": {"name": "public"}})
    hosts = ("harbour.example.com", "private.harbour.example.com")
    issued = Authority(tmp_path / "authority").issue(tmp_path / "public", *hosts)
    values = {name: (issued / name).read_text() for name in ("tls.crt", "tls.key")}
    cluster.secret("bundles", "public", **values)
    wait(lambda: cluster.get("ConfigMap", "bundles", "harbour-ca-bundle") is None)
    cluster.registry("bundles", tls={"selfSigned": {}})
    back = wait(lambda: cluster.get("ConfigMap", "bundles", "harbour-ca-bundle"))
    assert back["data"] == own


def test_what_a_token_may_reaches_the_policy_and_leaves_it(cluster: Cluster) -> None:
    """Applied, edited, suspended, deleted: each is in the policy at once; the password never is."""
    cluster.namespace("rights")
    cluster.namespace("app", consent=SECRETS_ROLE)
    cluster.registry("rights")
    cluster.claim("rights", "pier")
    cluster.token("rights", "robot", pullSecrets={"namespaces": ["app"]})
    wait(lambda: len(cluster.policy("rights").tokens) == 1)
    policy = cluster.policy("rights")
    secret = password(cluster, "rights", "robot")
    (token,) = policy.tokens.values()
    assert token.hashes == (hashlib.sha256(secret.encode()).hexdigest(),)
    assert policy.namespaces["pier"].account == "rights"
    pull = wait(lambda: cluster.get("Secret", "app", "robot-pull"))
    auths = json.loads(base64.b64decode(pull["data"][".dockerconfigjson"]))["auths"]
    assert {name: entry["password"] for name, entry in auths.items()} == {
        "harbour.example.com": secret,
        "private.harbour.example.com": secret,
    }

    cluster.token("rights", "robot", permissions=[{"repositories": ["pier/a"], "actions": ["pull"]}])
    wait(
        lambda: [t.grants[0].repositories for t in cluster.policy("rights").tokens.values()] == [("pier/a",)]
    )
    wait(lambda: cluster.get("Secret", "app", "robot-pull") is None, sentence="the pull secret stays")
    assert password(cluster, "rights", "robot") == secret

    cluster.token("rights", "robot", suspended=True)
    wait(lambda: [t.suspended for t in cluster.policy("rights").tokens.values()] == [True])
    cluster.delete("AccessToken", "rights", "robot")
    wait(lambda: not cluster.policy("rights").tokens)


def test_a_pull_secret_follows_the_labels_of_namespaces(cluster: Cluster) -> None:
    """A namespace that is made later, or labelled later, gets one; one that loses the label loses it."""
    cluster.namespace("labels")
    cluster.registry("labels")
    cluster.token("labels", "robot", pullSecrets={"selector": {"matchLabels": {"team": "sea"}}})
    wait(lambda: password(cluster, "labels", "robot"))
    cluster.namespace("later", consent=SECRETS_ROLE, team="sea")
    wait(lambda: cluster.get("Secret", "later", "robot-pull"))
    cluster.server.ask(
        "PATCH",
        "/api/v1/namespaces/later",
        {"metadata": {"labels": {"team": "land"}}},
        "application/merge-patch+json",
    )
    wait(lambda: cluster.get("Secret", "later", "robot-pull") is None)


def test_a_pull_secret_takes_its_place_when_somebody_else_s_is_gone(
    operator: Operator, cluster: Cluster
) -> None:
    """Until then the token says what stands in the way, and the Secret is untouched."""
    cluster.namespace("place")
    cluster.namespace("place-app", consent=SECRETS_ROLE)
    cluster.registry("place")
    cluster.secret("place-app", "robot-pull", theirs="yes")
    cluster.token("place", "robot", pullSecrets={"namespaces": ["place-app"]})
    taken = wait(lambda: is_false(cluster.condition("AccessToken", "place", "robot", "Distributed")))
    assert taken["reason"] == "NameConflict"
    theirs = cluster.get("Secret", "place-app", "robot-pull")
    assert theirs is not None
    assert theirs["data"] == {"theirs": base64.b64encode(b"yes").decode()}
    settled(operator)
    cluster.delete("Secret", "place-app", "robot-pull")
    wait(
        lambda: (
            ".dockerconfigjson" in (cluster.get("Secret", "place-app", "robot-pull") or {}).get("data", "")
        )
    )


def test_an_object_of_somebody_else_is_refused_until_it_is_given(
    operator: Operator, cluster: Cluster
) -> None:
    """Stalled by NameConflict, the object untouched; with the annotation it is soon taken over."""
    cluster.namespace("conflict")
    cluster.secret("conflict", "s3", accessKeyID="id", secretAccessKey="AKIASECRETVALUE")
    path = "/api/v1/namespaces/conflict/configmaps"
    theirs = {"metadata": {"name": "harbour-config"}, "data": {"theirs": "yes"}}
    cluster.server.ask("POST", path, theirs)
    cluster.registry("conflict")
    stalled = wait(lambda: is_true(cluster.condition("Registry", "conflict", "harbour", "Stalled")))
    assert stalled["reason"] == "NameConflict"
    assert "harbour-config" in stalled["message"]
    found = cluster.get("ConfigMap", "conflict", "harbour-config")
    assert found is not None
    assert found["data"] == {"theirs": "yes"}
    settled(operator)
    given = {"metadata": {"annotations": {"roadstead.dev/adopt": "harbour"}}}
    cluster.server.ask("PATCH", f"{path}/harbour-config", given, "application/merge-patch+json")
    wait(lambda: "config.json" in (cluster.get("ConfigMap", "conflict", "harbour-config") or {})["data"])


def is_true(condition: Object) -> Object | None:
    return condition if condition.get("status") == "True" else None


def stalled_by(cluster: Cluster, namespace: str, reason: str) -> Object | None:
    found = is_true(cluster.condition("Registry", namespace, "harbour", "Stalled"))
    return found if found and found["reason"] == reason else None


def test_nothing_of_somebody_else_is_written_over(operator: Operator, cluster: Cluster) -> None:
    """Of each kind an object of a child's name is there first, and was never seen: it stays as it is."""
    scaled: Object = {"replicas": 3, "autoscaling": {"minReplicas": 3, "maxReplicas": 5}}
    cluster.namespace("ours")
    cluster.registry("ours", **scaled)
    kinds = (*(kind for kind in CHILDREN if kind != "Secret"), "RoleBinding", "HorizontalPodAutoscaler")
    wait(lambda: there(cluster, "ours") and cluster.get("HorizontalPodAutoscaler", "ours", "harbour"))
    cluster.namespace("theirs")
    for kind in kinds:
        for name, child in cluster.list(kind, "ours").items():
            if child["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == "roadstead":
                made = {"metadata": {"name": name}, **copied(cluster.path(kind, "ours", name), child)}
                cluster.server.ask("POST", cluster.path(kind, "theirs", ""), made)
    before = versions(cluster, "theirs")
    cluster.registry("theirs", **scaled)
    stalled = wait(lambda: is_true(cluster.condition("Registry", "theirs", "harbour", "Stalled")))
    assert stalled["reason"] == "NameConflict"
    settled(operator)
    after = versions(cluster, "theirs")
    assert {place: after[place] for place in before} == before
    cluster.delete("Registry", "theirs", "harbour")  # it would try again for ever


def copied(path: str, child: Object) -> Object:
    """What of an object is somebody's to say."""
    rest = {key: value for key, value in child.items() if key not in {"metadata", "status"}}
    if "/services/" in path:
        given = ("clusterIP", "clusterIPs")
        rest["spec"] = {key: value for key, value in rest["spec"].items() if key not in given}
    return rest


def is_false(condition: Object) -> Object | None:
    return condition if condition.get("status") == "False" else None


def test_a_password_that_somebody_made_is_no_way_in(cluster: Cluster) -> None:
    """A Secret of the token's name that is not the token's: refused, untouched, not in the policy."""
    cluster.namespace("forged")
    cluster.registry("forged")
    wait(lambda: there(cluster, "forged"))
    cluster.secret("forged", "robot", username="robot", password="mine")
    cluster.token("forged", "robot")
    stalled = wait(lambda: is_true(cluster.condition("AccessToken", "forged", "robot", "Stalled")))
    assert stalled["reason"] == "NameConflict"
    assert password(cluster, "forged", "robot") == "mine"
    assert not cluster.policy("forged").tokens


@pytest.mark.parametrize(
    ("kind", "name", "edit"),
    [
        ("Deployment", "harbour", {"spec": {"replicas": 7}}),
        ("Service", "harbour", {"spec": {"selector": {"app.kubernetes.io/instance": "other"}}}),
        ("ConfigMap", "harbour-config", {"data": {"config.json": "{}"}}),
        ("Secret", "harbour-policy-0", {"data": {"policy.json.gz": "e30K"}}),
        ("NetworkPolicy", "harbour", {"spec": {"ingress": []}}),
        ("ServiceAccount", "harbour", {"metadata": {"labels": {"app.kubernetes.io/component": "x"}}}),
    ],
)
def test_drift_is_repaired(cluster: Cluster, kind: str, name: str, edit: Object) -> None:
    """What somebody edits is as it was within seconds, whatever the annotation says."""
    if cluster.get("Registry", "drift", "harbour") is None:
        cluster.namespace("drift")
        cluster.registry("drift")
        wait(lambda: there(cluster, "drift"))
    before = what_matters(cluster.get(kind, "drift", name))
    edited = cluster.server.ask(
        "PATCH", cluster.path(kind, "drift", name), edit, "application/merge-patch+json"
    )
    assert what_matters(edited) != before
    wait(lambda: what_matters(cluster.get(kind, "drift", name)) == before, 10)


def test_a_deleted_child_is_made_again(cluster: Cluster) -> None:
    """All of them, one after the other."""
    cluster.namespace("gone")
    cluster.registry("gone")
    wait(lambda: there(cluster, "gone"))
    for kind, names in CHILDREN.items():
        for name in sorted(names):
            cluster.delete(kind, "gone", name)
    wait(lambda: there(cluster, "gone"))


def what_matters(obj: Object | None) -> Any:
    assert obj is not None
    spec = {key: value for key, value in obj.items() if key in {"spec", "data", "type"}}
    return spec, obj["metadata"].get("labels"), obj["metadata"].get("ownerReferences")


def test_another_account_s_name_is_taken(cluster: Cluster) -> None:
    """The first claim wins; who may not claim here is told so."""
    cluster.namespace("first")
    cluster.namespace("second", sea="yes")
    cluster.namespace("third")
    rule = {"from": "Selector", "selector": {"matchLabels": {"sea": "yes"}}}
    cluster.registry("first", allowedNamespaces=rule)
    cluster.server.ask(
        "PATCH",
        "/api/v1/namespaces/first",
        {"metadata": {"labels": {"sea": "yes"}}},
        "application/merge-patch+json",
    )
    elsewhere = {"name": "harbour", "namespace": "first"}
    cluster.claim("first", "pier")
    bound = wait(lambda: is_true(cluster.condition("Claim", "first", "pier", "Bound")))
    assert bound["reason"] == "Bound"
    cluster.claim("second", "pier", elsewhere)
    cluster.claim("third", "quay", elsewhere)
    taken = wait(lambda: cluster.condition("Claim", "second", "pier", "Bound"))
    assert (taken["status"], taken["reason"]) == ("False", "NameTaken")
    refused = wait(lambda: cluster.condition("Claim", "third", "quay", "Bound"))
    assert (refused["status"], refused["reason"]) == ("False", "NotAllowed")


def test_a_restart_writes_nothing(operator: Operator, cluster: Cluster) -> None:
    """No request that changes something, and no object that is another: by the operator and by etcd."""
    namespaces = ["rights", "labels", "drift", "first", "second", "third", "forged"]
    settled(operator)
    before = versions(cluster, *namespaces)
    assert operator.stop() == 0
    operator.ready()
    time.sleep(4)
    assert operator.writes() == 0, operator.metrics()
    assert versions(cluster, *namespaces) == before


def test_no_secret_stands_in_logs_events_statuses_or_annotations(
    operator: Operator, cluster: Cluster
) -> None:
    """All values of all Secrets that the operator knows are searched for."""
    everything = cluster.server.ask("GET", "/api/v1/namespaces")["items"]
    namespaces = [obj["metadata"]["name"] for obj in everything]
    values = set()
    for namespace in namespaces:
        for name, secret in cluster.list("Secret", namespace).items():
            if "-policy-" in name:
                continue  # hashes, which are meant to be told
            for key, value in (secret.get("data") or {}).items():
                text = base64.b64decode(value).decode(errors="replace")
                if key in {
                    "password",
                    "tls.key",
                    ".dockerconfigjson",
                    "token-signing.pem",
                    "secretAccessKey",
                }:
                    values |= {text, value}
    assert len(values) > 10
    values.discard("mine")  # the user's own, not the operator's
    said = operator.log.read_text() + operator.metrics()
    for namespace in namespaces:
        said += json.dumps(cluster.list("Event", namespace))
        for kind in [*CHILDREN, "Registry", "AccessToken", "RoleBinding"]:
            for obj in cluster.list(kind, namespace).values():
                said += json.dumps([obj["metadata"], obj.get("status")])
                said += json.dumps(obj) if kind != "Secret" else ""
    leaked = [
        value[:8] for value in values if len(value) > 6 and (value in said or json.dumps(value)[1:-1] in said)
    ]
    assert not leaked


def test_an_operator_without_consent_is_told_where(operator: Operator, cluster: Cluster) -> None:
    """403: the condition shows the command; once it is run the Registry goes on by itself; and back."""
    cluster.namespace("closed", consent="")
    cluster.secret("closed", "s3", accessKeyID="id", secretAccessKey="AKIASECRETVALUE")
    cluster.registry("closed")
    stalled = wait(lambda: is_true(cluster.condition("Registry", "closed", "harbour", "Stalled")))
    assert "kubectl create rolebinding roadstead-registry --namespace closed" in stalled["message"]
    assert not cluster.list("Secret", "closed").keys() - {"s3"}

    cluster.consent("closed")
    wait(lambda: there(cluster, "closed"))
    wait(lambda: not is_true(cluster.condition("Registry", "closed", "harbour", "Stalled")))

    cluster.withdraw("closed")
    again = wait(lambda: is_true(cluster.condition("Registry", "closed", "harbour", "Stalled")), 10)
    assert again["reason"] == stalled["reason"]
    assert operator.livez() == (HTTPStatus.OK, "ok")


def test_who_may_only_use_secrets_gets_no_registry(cluster: Cluster) -> None:
    """With the lesser consent nothing is made; the condition has the command that is enough."""
    cluster.namespace("lesser", consent=SECRETS_ROLE)
    cluster.secret("lesser", "s3", accessKeyID="id", secretAccessKey="AKIASECRETVALUE")
    cluster.registry("lesser")
    # Until the API server's own authorizer knows of the consent, Secrets may not be read either.
    stalled = wait(lambda: stalled_by(cluster, "lesser", "NotPermitted"))
    assert "kubectl create rolebinding roadstead-registry --namespace lesser" in stalled["message"]
    assert not cluster.list("Deployment", "lesser")

    cluster.consent("lesser")
    wait(lambda: there(cluster, "lesser"), 10)
    wait(lambda: not is_true(cluster.condition("Registry", "lesser", "harbour", "Stalled")))


def said(cluster: Cluster, namespace: str) -> Object:
    return cluster.condition("Registry", namespace, "harbour", "Stalled")


def test_a_quota_is_named_as_what_it_is(cluster: Cluster) -> None:
    """A ResourceQuota refuses the Deployment by 403, too: that asks for no RoleBinding."""
    cluster.namespace("narrow")
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/deployments.apps": "0"}}}
    status = {"status": {"hard": {"count/deployments.apps": "0"}, "used": {"count/deployments.apps": "0"}}}
    path = "/api/v1/namespaces/narrow/resourcequotas"
    cluster.server.ask("POST", path, quota)
    merge = "application/merge-patch+json"  # no controller is here that would fill the status
    cluster.server.ask("PATCH", f"{path}/none/status", status, merge)
    cluster.secret("narrow", "s3", accessKeyID="id", secretAccessKey="AKIASECRETVALUE")
    cluster.registry("narrow")
    # The API server's authorizer may hear of the consent a moment later than the operator does.
    wait(lambda: said(cluster, "narrow").get("reason") == "QuotaExceeded")
    stalled = said(cluster, "narrow")
    assert "exceeded quota: none" in stalled["message"]
    assert "rolebinding" not in stalled["message"]
    cluster.server.ask("DELETE", f"{path}/none")
    wait(lambda: there(cluster, "narrow"))


def test_a_consent_that_is_withdrawn_takes_no_token_from_the_policy(cluster: Cluster) -> None:
    """Another account's Secrets cannot be read any more: its token stays in force, until it is deleted."""
    cluster.namespace("port")
    cluster.namespace("guest", consent=SECRETS_ROLE)
    cluster.registry("port", allowedNamespaces={"from": "All"})
    there_ = [{"name": "harbour", "namespace": "port"}]
    cluster.token("guest", "robot", registryRefs=there_)
    wait(lambda: cluster.policy("port").tokens)
    before = cluster.policy("port")
    cluster.withdraw("guest", SECRETS_ROLE)
    stalled = wait(lambda: is_true(cluster.condition("AccessToken", "guest", "robot", "Stalled")), 10)
    assert stalled["reason"] == "SecretsNotPermitted"
    assert "kubectl create rolebinding roadstead-secrets --namespace guest" in stalled["message"]
    cluster.claim("port", "pier")
    wait(lambda: cluster.policy("port").namespaces)  # the policy was written anew since
    assert cluster.policy("port").tokens == before.tokens

    narrower = [{"repositories": ["pier/a"], "actions": ["pull"]}]
    cluster.token("guest", "robot", registryRefs=there_, permissions=narrower)
    wait(lambda: grants(cluster, "port") == [("pier/a",)])
    (now,), (then,) = cluster.policy("port").tokens.values(), before.tokens.values()
    assert now.hashes == then.hashes
    cluster.delete("AccessToken", "guest", "robot")
    wait(lambda: not cluster.policy("port").tokens)


def test_claims_that_lost_their_labels_are_not_lost(cluster: Cluster) -> None:
    """The name of a Namespace that is gone stays with its account, whatever becomes of the labels."""
    cluster.namespace("stripped")
    cluster.registry("stripped")
    cluster.claim("stripped", "pier")
    wait(lambda: is_true(cluster.condition("Claim", "stripped", "pier", "Bound")))
    cluster.delete("Claim", "stripped", "pier")
    wait(lambda: not cluster.policy("stripped").namespaces)
    before = cluster.get("ConfigMap", "stripped", "harbour-claims")
    assert before is not None
    assert before["data"].keys() == {"pier"}
    bare = {"metadata": {"labels": None}}
    path = cluster.path("ConfigMap", "stripped", "harbour-claims")
    cluster.server.ask("PATCH", path, bare, "application/merge-patch+json")
    labels = before["metadata"]["labels"]
    wait(lambda: labels_of(cluster.get("ConfigMap", "stripped", "harbour-claims")) == labels)
    after = cluster.get("ConfigMap", "stripped", "harbour-claims")
    assert after is not None
    assert after["data"] == before["data"]


def annotations_of(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def labels_of(obj: Object | None) -> Object:
    return (obj or {"metadata": {}})["metadata"].get("labels") or {}
