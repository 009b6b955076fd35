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

    def grant(self, namespace: str) -> str:
        """The command by which a Kubernetes namespace lets Roadstead read and write its Secrets."""
        return (
            f"kubectl create rolebinding roadstead --namespace {namespace} --clusterrole=roadstead-secrets "
            f"--serviceaccount={self.namespace}:{self.service_account}"
        )
