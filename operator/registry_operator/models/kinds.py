"""How the API server shows and guards each kind, beside its fields."""

from __future__ import annotations

from dataclasses import dataclass

from registry_operator.models.access_token import AccessTokenSpec, AccessTokenStatus
from registry_operator.models.base import GROUP, OwnStatus, Value
from registry_operator.models.namespace import NamespaceSpec, NamespaceStatus
from registry_operator.models.registry import RegistrySpec, RegistryStatus


@dataclass(frozen=True)
class Column:
    """A printer column; `wide` ones appear with `-o wide`."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True)
class Kind:
    """All that a CRD is made of."""

    kind: str
    plural: str
    short: str
    description: str
    spec: type[Value]
    status: type[OwnStatus]
    columns: tuple[Column, ...]
    selectable: tuple[str, ...]
    rules: tuple[tuple[str, str], ...] = ()
    scale: bool = False

    @property
    def name(self) -> str:
        return f"{self.plural}.{GROUP}"


def ready(column: str = "Ready", condition: str = "Ready", *, wide: bool = False) -> Column:
    return Column(column, f".status.conditions[?(@.type=='{condition}')].status", wide=wide)


def reason(condition: str) -> Column:
    return Column("Reason", f".status.conditions[?(@.type=='{condition}')].reason")


AGE = Column("Age", ".metadata.creationTimestamp", "date")

KINDS = (
    Kind(
        kind="Registry",
        plural="registries",
        short="reg",
        description="A container registry of one tenant.",
        spec=RegistrySpec,
        status=RegistryStatus,
        columns=(
            Column("Host", ".spec.hostname"),
            ready(),
            reason("Ready"),
            Column("Replicas", ".status.readyReplicas", "integer"),
            Column("Wanted", ".status.desiredReplicas", "integer"),
            ready("Storage", "StorageReady"),
            ready("Zones", "ZoneRedundant"),
            ready("Policy", "PolicyPropagated", wide=True),
            ready("Autoscales", "AutoscalingActive", wide=True),
            ready("Encrypted", "EncryptionReady", wide=True),
            Column("Private only", ".spec.privateOnly", "boolean"),
            Column("Private", ".status.endpoints.private", wide=True),
            ready("Up to date", "UpToDate", wide=True),
            Column("Release", ".status.release", wide=True),
            AGE,
        ),
        selectable=(".spec.hostname",),
        rules=(
            (
                (
                    "size(self.metadata.name) <= 40"
                    " && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')"
                ),
                "metadata.name must be at most 40 of a-z, 0-9 and -, begin with a letter and not end with -",
            ),
        ),
        scale=True,
    ),
    Kind(
        kind="Namespace",
        plural="namespaces",
        short="rns",
        description="A name in a Registry, owned by the Kubernetes namespace that this resource lives in.",
        spec=NamespaceSpec,
        status=NamespaceStatus,
        columns=(
            Column("Name claimed", ".spec.name"),
            Column("Registry", ".spec.registryRef.name"),
            ready("Bound", "Bound"),
            ready(),
            reason("Ready"),
            Column("Repositories", ".status.boundTo"),
            Column("Private only", ".spec.privateOnly", "boolean", wide=True),
            AGE,
        ),
        selectable=(".spec.name", ".spec.registryRef.name", ".spec.registryRef.namespace"),
    ),
    Kind(
        kind="AccessToken",
        plural="accesstokens",
        short="at",
        description="A robot: a password with permissions, and the pull secrets made of it.",
        spec=AccessTokenSpec,
        status=AccessTokenStatus,
        columns=(
            ready(),
            reason("Ready"),
            Column("Secret", ".status.secretName"),
            Column("Expires", ".status.expiresAt"),
            Column("Uses left", ".status.usesLeft", "integer"),
            Column("Last used", ".status.lastUsedAt", "date"),
            Column("Targets", ".status.targets.wanted", "integer"),
            Column("Reached", ".status.targets.reached", "integer"),
            Column("Suspended", ".spec.suspended", "boolean", wide=True),
            Column("Rotates", ".status.rotatesAt", wide=True),
            Column("Id", ".status.id", wide=True),
            AGE,
        ),
        selectable=(".spec.suspended",),
        rules=(
            ("size(self.metadata.name) <= 58", "metadata.name must be at most 58 characters"),
            (
                (
                    "!has(self.spec.pullSecrets) || (has(self.spec.pullSecrets.name)"
                    " ? self.spec.pullSecrets.name : self.metadata.name + '-pull')"
                    " != (has(self.spec.secretName) ? self.spec.secretName : self.metadata.name)"
                ),
                "spec.pullSecrets.name must differ from spec.secretName",
            ),
        ),
    ),
)
