"""What the operator's own installation decides. `__main__` reads it from the environment, once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """`namespace` and `service_account` are the operator's own; `image` is the runtime's."""

    image: str
    namespace: str = "roadstead-system"
    service_account: str = "roadstead-operator"
    pull_policy: str = "IfNotPresent"
    api_ports: tuple[int, ...] = (443, 6443)  # where pods reach the API server, behind its Service too

    def grant(self, namespace: str, role: str) -> str:
        """The command by which a Kubernetes namespace opts in to one of the roles of `names`.

        The RoleBinding has the role's name: what is bound cannot be changed, so each has its own.
        """
        return (
            f"kubectl create rolebinding {role} --namespace {namespace} --clusterrole={role} "
            f"--serviceaccount={self.namespace}:{self.service_account}"
        )

    def take(self, namespace: str, binding: str, annotation: str) -> str:
        """The command by which a Kubernetes namespace says in its RoleBinding whose pull secrets it takes."""
        return f"kubectl annotate rolebinding {binding} --namespace {namespace} {annotation}=true --overwrite"
