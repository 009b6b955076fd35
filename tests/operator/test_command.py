"""`kubectl roadstead` on a real API server: what it shows, what it writes, and what it never does."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from registry_operator.cluster.resources import REGISTRIES
from registry_operator.command.redaction import forms

from tests.operator.apiserver import Object
from tests.operator.commanding import Caller
from tests.operator.operator_process import SYSTEM, Cluster, Operator, settled, wait
from tests.operator.replica import replicas

pytestmark = pytest.mark.cluster
DOCS = Path(__file__).parents[2] / "docs"
PLANTED = "correct-horse/battery+staple"


@pytest.fixture(scope="module")
def admin(operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> Caller:
    """With every right; Registry port/harbour is there, and what it has."""
    cluster = Cluster(operator.server)
    for namespace in ("port", "shop"):
        cluster.namespace(namespace)
    cluster.secret("port", "s3", accessKeyID="AKIDOFTHETEST", secretAccessKey=PLANTED)
    cluster.registry("port")
    cluster.claim("port", "pier")
    cluster.token("port", "deployer", pullSecrets={"namespaces": ["shop"]})
    wait(lambda: cluster.get("Secret", "shop", "deployer-pull"))
    wait(lambda: cluster.policy("port").tokens)
    wait(lambda: cluster.condition("Registry", "port", "harbour", "Ready"))
    settled(operator)
    return Caller.by_token(operator, tmp_path_factory.mktemp("command"), operator.server.token)


def test_status_is_a_table_or_a_tree(admin: Caller) -> None:
    """As the documentation shows it; 1 where something is not Ready, which without pods nothing is."""
    code, text, _ = admin.run("status")
    assert code == 1
    assert text.splitlines() == shown("kubectl.md", "kubectl roadstead status")
    code, text, _ = admin.run("status", "port/harbour")
    assert code == 1
    lines = text.splitlines()
    assert lines[0] == "✗ Registry port/harbour"
    assert "    https://harbour.example.com" in lines
    assert any(line.startswith("    ✗ pier (port/pier)") or "pier (port/pier)" in line for line in lines)
    document = admin.document("status", "harbour", "-n", "port")
    assert [one["name"] for one in document["accessTokens"]] == ["deployer"]
    code, _, errors = admin.run("status", "port/none")
    assert (code, errors) == (1, "✗ there is no Registry port/none that you may see\n")


def test_usage_says_what_is_known_and_what_is_not(admin: Caller) -> None:
    """A token that nobody used, and that bytes are not told."""
    code, text, _ = admin.run("usage", "port/harbour")
    assert (code, "port/deployer   never" in text, "Not told here: bytes" in text) == (0, True, True), text
    assert admin.document("usage", "--unused", "30")["accessTokens"] == [], "it is younger than that"


def test_login_writes_what_clients_read_and_prints_no_password(
    admin: Caller, operator: Operator, tmp_path: Path
) -> None:
    """Docker's file, or podman's; what is in it stays; only --print prints."""
    cluster = Cluster(operator.server)
    folder = tmp_path / "docker"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"auths": {"quay.io": {"auth": "eA=="}}, "psFormat": "x"}))
    secret = cluster.get("Secret", "port", "deployer") or {}
    password = base64.b64decode(secret["data"]["password"]).decode()
    code, text, errors = admin.run("login", "port/deployer", "--private", DOCKER_CONFIG=str(folder))
    assert (code, errors) == (0, "")
    assert "✓ harbour.example.com: logged in as deployer" in text
    written = json.loads((folder / "config.json").read_text())
    assert written["psFormat"] == "x"
    assert written["auths"]["quay.io"] == {"auth": "eA=="}
    for host in ("harbour.example.com", "private.harbour.example.com"):
        assert base64.b64decode(written["auths"][host]["auth"]).decode() == f"deployer:{password}"
    assert (folder / "config.json").stat().st_mode & 0o777 == 0o600
    admin.run("login", "port/deployer", REGISTRY_AUTH_FILE=str(tmp_path / "auth.json"))
    assert "harbour.example.com" in json.loads((tmp_path / "auth.json").read_text())["auths"]
    (tmp_path / "broken.json").write_text("{")
    code, _, errors = admin.run("login", "port/deployer", "--auth-file", tmp_path / "broken.json")
    assert (code, "cannot be read as an auth file" in errors) == (1, True)
    assert (tmp_path / "broken.json").read_text() == "{"


def test_a_credential_helper_gets_the_password_instead_of_the_file(
    admin: Caller, operator: Operator, tmp_path: Path
) -> None:
    """`credHelpers` of the file, by docker's protocol."""
    helper = tmp_path / "docker-credential-test"
    helper.write_text(f"#!/bin/sh\ncat > {tmp_path}/stored-$1\n")
    helper.chmod(0o755)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"credHelpers": {"harbour.example.com": "test"}}))
    words = ("login", "port/deployer", "--auth-file", file)
    code, text, errors = admin.run(*words, PATH=f"{tmp_path}:/usr/bin:/bin")
    assert (code, "docker-credential-test" in text) == (0, True), errors
    stored = json.loads((tmp_path / "stored-store").read_text())
    assert (stored["ServerURL"], stored["Username"]) == ("harbour.example.com", "deployer")
    assert "auths" not in json.loads(file.read_text())


def plant(cluster: Cluster, operator: Operator) -> list[bytes]:
    """Secrets where they do not belong: environment, annotations, labels' neighbours, Events, statuses."""
    encoded = base64.b64encode(PLANTED.encode()).decode()
    server = cluster.server
    env: list[Object] = [{"name": "HTTPS_PROXY", "value": "http://proxy:hunter22hunter@proxy.test"}]
    env += [{"name": "STRAY", "value": "unlabelled-and-unknown"}]
    pod = {"containers": [{"name": "operator", "image": "none", "env": env}]}
    labels = {"app.kubernetes.io/name": "roadstead-operator"}
    deployment: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "roadstead-operator", "namespace": SYSTEM, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels, "annotations": {"vault": PLANTED}}, "spec": pod},
        },
    }
    server.ask("POST", f"/apis/apps/v1/namespaces/{SYSTEM}/deployments", deployment)
    registry = cluster.get("Registry", "port", "harbour") or {}
    merge = "application/merge-patch+json"
    annotations = {"example.com/note": encoded, "roadstead.dev/note": f"it is {PLANTED}"}
    path = REGISTRIES.path("port", "harbour")
    server.ask("PATCH", path, {"metadata": {"annotations": annotations}}, merge)
    settled(operator)
    double = base64.b64encode(f"deployer:{PLANTED}".encode()).decode()
    sentence = f'Authorization: Basic {double}, {{"secretAccessKey": "{PLANTED}"}} AKIAABCDEFGHIJKLMNOP'
    event: Object = {
        "metadata": {"name": "planted", "namespace": "port"},
        "eventTime": "2026-11-21T00:00:00.000000Z",
        "type": "Warning",
        "reason": "Planted",
        "action": "Plant",
        "note": sentence,
        "reportingController": "test",
        "reportingInstance": "test",
        "regarding": {
            "kind": "Registry",
            "namespace": "port",
            "name": "harbour",
            "uid": registry["metadata"]["uid"],
        },
    }
    server.ask("POST", "/apis/events.k8s.io/v1/namespaces/port/events", event)
    secrets = [one for name in ("port", SYSTEM) for one in cluster.list("Secret", name).values()]
    hidden = {"ca.crt", "tls.crt", "username"}
    known = [
        base64.b64decode(value)
        for one in secrets
        for name, value in (one.get("data") or {}).items()
        if name not in hidden
    ]
    return [*known, b"hunter22hunter", b"unlabelled-and-unknown", b"AKIAABCDEFGHIJKLMNOP"]


def test_a_report_has_what_support_needs_and_no_secret(
    admin: Caller, operator: Operator, tmp_path: Path
) -> None:
    """Secrets are planted everywhere: neither their bytes, nor base64, nor JSON of them are in the bundle."""
    cluster = Cluster(operator.server)
    secrets = plant(cluster, operator)
    bundle = tmp_path / "report.tar.gz"
    code, text, errors = admin.run("report", "-f", bundle)
    assert (code, errors) == (0, ""), text
    assert bundle.stat().st_mode & 0o777 == 0o600
    files = unpacked(bundle)
    whole = "\n".join(files.values())
    for value in secrets:
        for form in forms(value):
            assert form not in whole, [path for path, text in files.items() if form in text]
    assert {"README.txt", "version.json", "resources/registries.roadstead.dev.json"} <= files.keys()
    listed = {one["metadata"]["name"]: one for one in json.loads(files["namespaces/port/secrets.json"])}
    assert listed["s3"]["sizes"] == {"accessKeyID": 13, "secretAccessKey": len(PLANTED)}
    assert json.loads(files["namespaces/port/deployments.json"])[0]["metadata"]["name"] == "harbour"
    (registry,) = json.loads(files["resources/registries.roadstead.dev.json"])
    assert registry["spec"]["hostname"] == "harbour.example.com"
    assert registry["status"]["conditions"], "the conditions are what support reads first"


def test_a_report_says_what_each_replica_says_of_itself(
    admin: Caller, operator: Operator, tmp_path: Path
) -> None:
    """Of one that answers, through the API server; of one that cannot be asked why, and the rest is there."""
    cluster = Cluster(operator.server)
    cluster.namespace("pier")
    cluster.registry("pier")
    with replicas(cluster, "pier", operator.folder, 60) as (one,):
        for name, address in ((one.pod, one.address), ("harbour-lost", "")):
            pod(cluster, "pier", name, address)
        wait(lambda: acknowledged(cluster, "pier"), sentence="the policy did not come there")
        code, text, errors = admin.run("report", "-n", "pier", "-f", tmp_path / "report.tar.gz")
    assert (code, errors) == (0, ""), text
    files = unpacked(tmp_path / "report.tar.gz")
    found = {one["pod"]: one for one in json.loads(files["namespaces/pier/replicas.json"])}
    (registry,) = json.loads(files["resources/registries.roadstead.dev.json"])
    said = found[one.pod]
    assert (said["version"], said["zone"]) == (version("roadstead"), "zone-a")
    assert registry["status"]["policyRevision"].startswith(said["policyRevision"].rstrip("…"))
    assert (said["storage"], "selfCheck" in said, "ready" in said) == ("Ready", True, True)
    assert found["harbour-lost"].keys() == {"pod", "unreachable"}
    assert found["harbour-lost"]["unreachable"] in files["README.txt"]
    told = files["namespaces/pier/replicas.txt"]
    assert f"{one.pod} in zone-a, release {version('roadstead')}" in told
    assert {"✓ PolicyPropagated: InForce", "✓ StorageReady: Ready"} <= {*map(str.strip, told.splitlines())}
    assert f"it could not be asked: {found['harbour-lost']['unreachable']}" in told
    cluster.delete("Registry", "pier", "harbour")
    wait(lambda: cluster.get("Registry", "pier", "harbour") is None)


def acknowledged(cluster: Cluster, namespace: str) -> list[str]:
    found = cluster.get("Registry", namespace, "harbour") or {}
    return list(found.get("status", {}).get("policyAcknowledgedBy") or ())


def pod(cluster: Cluster, namespace: str, name: str, address: str) -> None:
    """One of Registry harbour, which no kubelet runs; without an address it cannot be asked."""
    labels = {"app.kubernetes.io/name": "registry", "app.kubernetes.io/instance": "harbour"}
    labels["app.kubernetes.io/managed-by"] = "roadstead"
    path = f"/api/v1/namespaces/{namespace}/pods"
    containers = [{"name": "registry", "image": "registry.test/any"}]
    made = {"metadata": {"name": name, "labels": labels}, "spec": {"containers": containers}}
    cluster.server.ask("POST", path, made)
    if address:
        status = {"status": {"podIP": address, "podIPs": [{"ip": address}]}}
        cluster.server.ask("PATCH", f"{path}/{name}/status", status, "application/merge-patch+json")


def unpacked(bundle: Path) -> dict[str, str]:
    with tarfile.open(bundle) as archive:
        members = {one.name.removeprefix("roadstead-report/"): archive.extractfile(one) for one in archive}
        return {name: io.TextIOWrapper(file).read() for name, file in members.items() if file is not None}


def test_a_wrong_command_line_and_a_missing_right_are_told_apart(
    admin: Caller, operator: Operator, tmp_path: Path
) -> None:
    """2 and what is wrong; 1 and which right is missing."""
    assert admin.run("plan")[0] == 2
    assert admin.run("nothing")[0] == 2
    accounts = "/api/v1/namespaces/shop/serviceaccounts"
    operator.server.ask("POST", accounts, {"metadata": {"name": "nobody"}})
    asked = operator.server.ask("POST", f"{accounts}/nobody/token", {"spec": {"expirationSeconds": 3600}})
    nobody = Caller.by_token(operator, tmp_path, asked["status"]["token"])
    code, _, errors = nobody.run("login", "port/deployer")
    assert (code, errors.startswith("✗ you lack a right: AccessToken port/deployer")) == (1, True), errors
    code, _, errors = nobody.run("plan", "--upgrade", "--image", "x:1")
    assert (code, 'cannot list resource "namespaces"' in errors) == (1, True), errors


def shown(document: str, command: str) -> list[str]:
    """What the documentation shows of it."""
    text = (DOCS / document).read_text().partition(f"$ {command}\n")[2].partition("```")[0]
    return text.splitlines()


def test_a_plan_reads_as_documented(admin: Caller, tmp_path: Path) -> None:
    """Line by line, but for what stands beside a change."""
    s3 = {"bucket": "harbour", "endpoint": "https://s3.test:7070", "credentialsSecretRef": {"name": "s3"}}
    registry = {
        "apiVersion": "roadstead.dev/v1alpha1",
        "kind": "Registry",
        "metadata": {"name": "harbour", "namespace": "port"},
        "spec": {"hostname": "harbour.example.com", "storage": {"s3": s3}, "privateOnly": True},
    }
    file = tmp_path / "registry.yaml"
    file.write_text(yaml.safe_dump(registry))
    code, text, errors = admin.run("plan", "-f", file, "--image", "registry.test/roadstead/registry:test")
    assert (code, errors) == (0, "")
    assert telling(text.splitlines()) == telling(shown("plan.md", "kubectl roadstead plan -f registry.yaml"))


def telling(lines: list[str]) -> list[str]:
    return [line for line in lines if line and not line.startswith("     ")]


def test_yaml_and_json_say_the_same(admin: Caller) -> None:
    """-o is for programs: no colour, no sentence."""
    code, text, _ = admin.run("status", "-o", "yaml")
    read: Any = yaml.safe_load(text)
    assert (code, read) == (1, admin.document("status"))
