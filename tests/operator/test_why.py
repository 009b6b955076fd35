"""Why, by command, on a real API server: with every right, and with those of a tenant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry_runtime.contract.credential import Password
from tests.operator.apiserver import Object
from tests.operator.commanding import Caller
from tests.operator.operator_process import RBAC, Cluster, Operator, wait

pytestmark = pytest.mark.cluster


def why(caller: Caller, *words: str) -> tuple[int, str]:
    """The exit code, and what was printed."""
    code, text, errors = caller.run("why", *words)
    assert not errors, errors
    return code, text


def pod(cluster: Cluster, namespace: str, *pull_secrets: str) -> None:
    """As the kubelet would find it; nobody runs it."""
    body: Object = {
        "metadata": {"name": "web"},
        "spec": {
            "containers": [{"name": "web", "image": "harbour.example.com/pier/app:v1"}],
            "imagePullSecrets": [{"name": one} for one in pull_secrets],
        },
    }
    cluster.server.ask("POST", f"/api/v1/namespaces/{namespace}/pods", body)


def tenant(cluster: Cluster, namespace: str) -> str:
    """A ServiceAccount with the right to see its own Kubernetes namespace; its token."""
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    cluster.server.ask("POST", accounts, {"metadata": {"name": "tenant"}})
    rules = [{"apiGroups": ["", "roadstead.dev"], "resources": ["*"], "verbs": ["get", "list"]}]
    role = {"metadata": {"name": "tenant"}, "rules": rules}
    cluster.server.ask("POST", f"{RBAC}/namespaces/{namespace}/roles", role)
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"}
    subjects = [{"kind": "ServiceAccount", "name": "tenant", "namespace": namespace}]
    binding = {"metadata": {"name": "tenant"}, "roleRef": reference, "subjects": subjects}
    cluster.server.ask("POST", f"{RBAC}/namespaces/{namespace}/rolebindings", binding)
    asked = cluster.server.ask("POST", f"{accounts}/tenant/token", {"spec": {"expirationSeconds": 3600}})
    return str(asked["status"]["token"])


def test_one_command_from_a_pod_to_the_answer(operator: Operator, cluster: Cluster, tmp_path: Path) -> None:
    """What the operator made is good; with a link that breaks, the command says which, and the mend."""
    for namespace in ("port", "shop"):
        cluster.namespace(namespace)
    cluster.secret("port", "s3", accessKeyID="id", secretAccessKey="key")
    cluster.registry("port")
    cluster.claim("port", "pier")
    cluster.token("port", "deployer", pullSecrets={"namespaces": ["shop"]})
    wait(lambda: cluster.get("Secret", "shop", "deployer-pull"))
    wait(lambda: cluster.policy("port").tokens)
    pod(cluster, "shop", "deployer-pull")
    admin = Caller.by_token(operator, tmp_path, cluster.server.token)

    code, text = why(admin, "pod/web", "-n", "shop")
    assert code == 0, text
    assert "✓ Secret shop/deployer-pull has an entry for harbour.example.com" in text
    assert "✓ its password is that of AccessToken port/deployer" in text
    assert "✓ it may pull pier/app: " in text

    mine = Caller.by_token(operator, tmp_path, tenant(cluster, "shop"))
    code, text = why(mine, "pod/web", "-n", "shop")
    assert code == 1
    assert "others that you may not see" in text, "a tenant sees no more than its own namespace"

    cluster.token("port", "deployer", pullSecrets={"namespaces": ["shop"]}, suspended=True)
    wait(lambda: [one for one in cluster.policy("port").tokens.values() if one.suspended])
    code, text = why(admin, "pod/web", "-n", "shop")
    assert (code, "✗ it may not pull pier/app: TokenSuspended" in text) == (1, True), text
    assert "suspended: false" in text

    secret = json.dumps({"auths": {"harbour.example.com": {"password": Password.generate("0" * 16).text}}})
    cluster.delete("Secret", "shop", "deployer-pull")
    cluster.secret("shop", "copied", **{".dockerconfigjson": secret})
    cluster.server.ask("DELETE", "/api/v1/namespaces/shop/pods/web", {"gracePeriodSeconds": 0})
    pod(cluster, "shop", "copied")
    code, text = why(admin, "pod/web", "-n", "shop")
    assert (code, f"an AccessToken that is gone (id {'0' * 16})" in text) == (1, True), text


def test_a_token_and_a_namespace_are_asked_about(
    operator: Operator, cluster: Cluster, tmp_path: Path
) -> None:
    """Without any pod: may this robot do that, and who has this name."""
    cluster.namespace("quay")
    cluster.secret("quay", "s3", accessKeyID="id", secretAccessKey="key")
    cluster.registry("quay", hostname="quay.example.com")
    cluster.claim("quay", "pier")
    cluster.token("quay", "deployer")
    wait(lambda: cluster.policy("quay").tokens)
    wait(lambda: cluster.condition("Claim", "quay", "pier", "Bound").get("status") == "True")
    caller = Caller.by_token(operator, tmp_path, tenant(cluster, "quay"))
    code, text = why(caller, "--token", "quay/deployer", "--repository", "quay.example.com/pier/app")
    assert code == 0, text
    words = ("--token", "deployer", "-n", "quay", "--repository", "pier/app")
    code, text = why(caller, *words, "--action", "delete")
    assert (code, "actions: [delete]" in text) == (1, True), text
    code, text = why(caller, "--claim", "quay/pier")
    assert code == 0, text
    assert "AccessToken quay/deployer, of the same account: pull, push in pier/**" in text
    code, text = why(caller, "pod/none", "-n", "quay")
    assert code == 2, text
