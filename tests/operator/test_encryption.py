"""The tenant's keys, by the operator against a real API server: what it makes of them, and what it says."""

import base64
import json

import pytest

from registry_runtime.contract.config import RuntimeConfig
from registry_runtime.contract.policy import KeyUse
from tests.operator.apiserver import Object
from tests.operator.operator_process import Cluster, Operator, wait

pytestmark = pytest.mark.cluster
KEYS = {"k1": "0123456789abcdef0123456789abcdef", "k2": "fedcba9876543210fedcba9876543210"}


def encrypted(cluster: Cluster, namespace: str, active: str = "k1", held_in: str = "keys") -> None:
    cluster.registry(namespace, encryption={"keySecretRef": {"name": held_in}, "activeKey": active})


def said(cluster: Cluster, namespace: str, reason: str) -> Object:
    """The condition, as soon as it has this reason."""

    def found() -> Object | None:
        one = cluster.condition("Registry", namespace, "harbour", "EncryptionReady")
        return one if one.get("reason") == reason else None

    condition: Object = wait(found, sentence=f"EncryptionReady does not become {reason}")
    return condition


def volume(cluster: Cluster, namespace: str) -> Object:
    """What the pods have mounted of the keys."""
    deployment = cluster.get("Deployment", namespace, "harbour")
    assert deployment is not None
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    found: dict[str, Object] = {one["name"]: one for one in volumes}
    return dict(found["keys"]["secret"])


def test_what_is_missing_is_said_until_it_is_there(cluster: Cluster) -> None:
    """No Secret, no such key in it, both: the condition follows, and the pods never wait for any of it."""
    cluster.namespace("missing")
    cluster.secret("missing", "s3", accessKeyID="id", secretAccessKey="AKIASECRETVALUE")
    encrypted(cluster, "missing")
    absent = said(cluster, "missing", "SecretNotFound")
    assert absent["status"] == "False"
    assert "Secret missing/keys of spec.encryption.keySecretRef does not exist" in absent["message"]
    stalled = wait(lambda: cluster.condition("Registry", "missing", "harbour", "Stalled"))
    assert (stalled["status"], stalled["reason"]) == ("True", "SecretNotFound")
    assert volume(cluster, "missing") == {"secretName": "keys", "defaultMode": 0o440, "optional": True}

    cluster.secret("missing", "keys", k2=KEYS["k2"])
    assert said(cluster, "missing", "SecretKeyMissing")["message"].endswith("lacks k1")
    cluster.secret("missing", "keys", **KEYS)
    assert said(cluster, "missing", "NotReported")["status"] == "Unknown"


def test_the_first_key_is_in_the_policy_before_there_is_a_replica(cluster: Cluster) -> None:
    """The replicas find it at their start; another one waits until they are there and hold it."""
    cluster.namespace("first")
    cluster.secret("first", "s3", accessKeyID="id", secretAccessKey="AKIASECRETVALUE")
    cluster.secret("first", "keys", **KEYS)
    encrypted(cluster, "first")
    wait(lambda: cluster.get("Deployment", "first", "harbour"))
    assert cluster.policy("first").encryption == KeyUse(active="k1")
    document = cluster.get("ConfigMap", "first", "harbour-config")
    assert document is not None
    config = RuntimeConfig.model_validate_json(document["data"]["config.json"])
    assert config.encryption
    assert str(config.encryption.keys) == "/etc/roadstead/keys"

    before = cluster.get("Deployment", "first", "harbour")
    assert before is not None
    encrypted(cluster, "first", "k2")
    said(cluster, "first", "NotReported")
    assert cluster.policy("first").encryption == KeyUse(active="k1")
    after = cluster.get("Deployment", "first", "harbour")
    assert after is not None
    assert after["spec"] == before["spec"]

    cluster.secret("first", "others", **KEYS)
    encrypted(cluster, "first", "k2", held_in="others")
    wait(lambda: volume(cluster, "first")["secretName"] == "others")


def test_a_restart_of_the_operator_knows_which_key_is_in_use(operator: Operator, cluster: Cluster) -> None:
    """It reads the policy that it wrote: what is declared since does not take its place."""
    cluster.namespace("again")
    cluster.secret("again", "keys", **KEYS)
    encrypted(cluster, "again")
    wait(lambda: cluster.policy("again").encryption)
    assert operator.stop() == 0
    encrypted(cluster, "again", "k2")
    operator.ready()
    said(cluster, "again", "NotReported")
    assert cluster.policy("again").encryption == KeyUse(active="k1")


def test_no_key_stands_anywhere_but_in_the_tenants_secret(operator: Operator, cluster: Cluster) -> None:
    """Objects, Events, statuses, the log and the metrics of all that the tests before have done."""
    encoded = {base64.b64encode(value.encode()).decode() for value in KEYS.values()}
    text = operator.log.read_text() + operator.metrics()
    kinds = ("ConfigMap", "Deployment", "Event", "Registry", "Secret")
    for namespace in ("missing", "first", "again"):
        for kind in kinds:
            for name, found in cluster.list(kind, namespace).items():
                text += json.dumps(found["metadata"])
                if name not in {"keys", "others"}:
                    text += json.dumps(found)
    assert "first/keys" in text or "missing/keys" in text
    for key in {*KEYS.values(), *encoded}:
        assert key not in text
