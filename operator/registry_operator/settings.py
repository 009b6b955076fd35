"""What the operator's own installation decides: the environment of its container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from registry_operator.errors import OperatorError
from registry_operator.models.release import PULL_POLICY, Release

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
LARGEST = 10**7  # seconds: some months


@dataclass(frozen=True)
class Settings:
    """`namespace` and `service_account` are the operator's own; `image` is the runtime's.

    Of a fleet's upgrade: a Registry has proven a release when it was Ready in it for `upgrade_soak` seconds,
    and has failed when it is not Ready `upgrade_patience` seconds after it began. At most `upgrade_percent`
    of the Registries are unproven at a time.
    """

    image: str
    namespace: str = "roadstead-system"
    service_account: str = "roadstead-operator"
    pull_policy: str = PULL_POLICY
    api_ports: tuple[int, ...] = (443, 6443)  # where pods reach the API server, behind its Service too
    upgrade_soak: int = 600
    upgrade_patience: int = 900
    upgrade_percent: int = 5

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Of an environment: `__main__` gives its own. Raises OperatorError for what is missing or wrong."""
        image = environ.get("RUNTIME_IMAGE", "")
        if not image:
            raise OperatorError("RUNTIME_IMAGE must name the image of the registry's runtime")
        defaults = cls(image=image)
        if Release.parse(str(Release(image, 1))) is None:
            raise OperatorError(f"RUNTIME_IMAGE={image}: must be the name of an image, of at most 1024 bytes")
        ports = environ.get("API_PORTS", ",".join(map(str, defaults.api_ports)))
        if not all(port.strip().isdigit() for port in ports.split(",")):
            raise OperatorError(f"API_PORTS={ports}: must be port numbers, separated by commas")
        pull_policy = environ.get("RUNTIME_PULL_POLICY", defaults.pull_policy)
        if pull_policy not in PULL_POLICIES:
            wanted = ", ".join(PULL_POLICIES)
            raise OperatorError(f"RUNTIME_PULL_POLICY={pull_policy}: must be one of {wanted}")
        return cls(
            image=image,
            namespace=environ.get("OPERATOR_NAMESPACE", defaults.namespace),
            service_account=environ.get("SERVICE_ACCOUNT", defaults.service_account),
            pull_policy=pull_policy,
            api_ports=tuple(int(port) for port in ports.split(",")),
            upgrade_soak=_number(environ, "UPGRADE_SOAK_SECONDS", defaults.upgrade_soak),
            upgrade_patience=_number(environ, "UPGRADE_PATIENCE_SECONDS", defaults.upgrade_patience),
            upgrade_percent=_number(environ, "UPGRADE_PERCENT", defaults.upgrade_percent),
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

    def upgrade(self, namespace: str, registry: str, annotation: str) -> str:
        """The command that opts a Registry in to a release."""
        return f"kubectl annotate reg {registry} --namespace {namespace} {annotation} --overwrite"


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    """A whole number from 1 on; a percentage of more than a hundred means what a hundred does."""
    text = environ.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 0 < int(text) < LARGEST):
        raise OperatorError(f"{name}={text}: must be a whole number from 1 to {LARGEST - 1}")
    return int(text)
