"""The rights, beyond those that Kubernetes comes with, of what this cluster runs itself."""

from typing import Any

from local_cluster.pki import API_CLIENTS, DNS_USER, ENFORCER_USER

READ = ["get", "list", "watch"]


def objects() -> list[dict[str, Any]]:
    """ClusterRoles and ClusterRoleBindings, to be applied after every start."""
    apiserver, _ = API_CLIENTS["apiserver-kubelet-client"]
    return [
        # Logs, exec and port-forward go from the API server to the kubelets.
        binding("local-cluster:apiserver", "system:kubelet-api-admin", apiserver),
        role(
            DNS_USER, rule("", "namespaces", "pods", "services"), rule("discovery.k8s.io", "endpointslices")
        ),
        binding(DNS_USER, DNS_USER, DNS_USER),
        role(
            ENFORCER_USER,
            rule("", "namespaces", "pods", "services"),
            rule("discovery.k8s.io", "endpointslices"),
            rule("networking.k8s.io", "networkpolicies"),
        ),
        binding(ENFORCER_USER, ENFORCER_USER, ENFORCER_USER),
    ]


def rule(group: str, *resources: str) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": list(resources), "verbs": READ}


def role(name: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": list(rules),
    }


def binding(name: str, cluster_role: str, user: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": cluster_role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
