"""What the operator's own installation decides: the environment of its container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from registry_operator.errors import OperatorError


@dataclass(frozen=True)
class Settings:
    """`namespace` and `service_account` are the operator's own; `image` is the runtime's."""

    image: str
    namespace: str = "roadstead-system"
    service_account: str = "roadstead-operator"
    pull_policy: str = "IfNotPresent"
    api_ports: tuple[int, ...] = (443, 6443)  # where pods reach the API server, behind its Service too

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Of an environment: `__main__` gives its own. Raises OperatorError for what is missing or wrong."""
        image = environ.get("RUNTIME_IMAGE", "")
        if not image:
            raise OperatorError("RUNTIME_IMAGE must name the image of the registry's runtime")
        defaults = cls(image=image)
        ports = environ.get("API_PORTS", ",".join(map(str, defaults.api_ports)))
        if not all(port.strip().isdigit() for port in ports.split(",")):
            raise OperatorError(f"API_PORTS={ports}: must be port numbers, separated by commas")
        return cls(
            image=image,
            namespace=environ.get("OPERATOR_NAMESPACE", defaults.namespace),
            service_account=environ.get("SERVICE_ACCOUNT", defaults.service_account),
            pull_policy=environ.get("RUNTIME_PULL_POLICY", defaults.pull_policy),
            api_ports=tuple(int(port) for port in ports.split(",")),
        )

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
