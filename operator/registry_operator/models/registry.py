"""Registry: one tenant's container registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field

from registry_operator.models.authentication import Authentication
from registry_operator.models.autoscaling import Autoscaling, Quantity
from registry_operator.models.base import HostName, OwnStatus, Resource, Selector, Time, Value, rules
from registry_operator.models.encryption import Encryption, EncryptionStatus
from registry_operator.models.exposure import Exposure
from registry_operator.models.observability import Observability
from registry_operator.models.storage import Collection, SecretRef, Storage
from registry_operator.models.tls import Tls
from registry_operator.models.upgrades import Upgrades


class Zones(Value):
    """Over how many zones the replicas spread."""

    minimum: Annotated[
        int,
        Field(
            ge=1,
            le=10,
            description="Replicas are held back until so many zones have one. 1 for a cluster of one zone.",
        ),
    ] = 3


class AllowedNamespaces(Value):
    """Which Kubernetes namespaces may use this Registry."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "(self.from == 'Selector') == has(self.selector)",
                "spec.allowedNamespaces.selector is required with from: Selector, and only allowed there",
            ),
        )
    )

    from_: Annotated[
        Literal["Same", "All", "Selector"],
        Field(alias="from", description="The Registry's own Kubernetes namespace, all, or those that match."),
    ] = "Same"
    selector: Annotated[
        Selector | None, Field(description="Labels of the Kubernetes namespaces, with from: Selector.")
    ] = None


class Resources(Value):
    """CPU and memory of one replica, as of a container."""

    requests: dict[str, Quantity] = Field(
        default={"cpu": "100m", "memory": "128Mi"},
        max_length=8,
        description="What the scheduler keeps free.",
    )
    limits: dict[str, Quantity] = Field(
        default={"memory": "1Gi"}, max_length=8, description="What it may take at most."
    )


class RegistrySpec(Value):
    """What the user declares."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.storage.ephemeral) || self.replicas == 1",
                "spec.replicas must be 1 with spec.storage.ephemeral: the content lies in that one pod",
            ),
            (
                "!has(self.storage.ephemeral) || !has(self.autoscaling)",
                "spec.autoscaling is not possible with spec.storage.ephemeral: the content lies in one pod",
            ),
            (
                "!has(self.autoscaling) || 'cpu' in self.resources.requests",
                "spec.autoscaling needs spec.resources.requests.cpu: the target is a percentage of it",
            ),
            (
                "!has(self.autoscaling) || !has(oldSelf.autoscaling) || self.replicas == oldSelf.replicas",
                (
                    "spec.replicas has no effect with spec.autoscaling: change its minReplicas or"
                    " maxReplicas, or remove spec.autoscaling in the same change"
                ),
            ),
            (
                "!has(self.privateHostname) || self.privateHostname != self.hostname",
                "spec.privateHostname must differ from spec.hostname",
            ),
            (
                (
                    "!has(self.exposure.hosts) || !((has(self.privateHostname) ? self.privateHostname"
                    " : 'private.' + self.hostname) in self.exposure.hosts)"
                ),
                "spec.exposure.hosts must not contain the private host name",
            ),
            (
                "has(self.encryption) == has(oldSelf.encryption)",
                (
                    "spec.encryption is set when the Registry is created, and never added or removed later:"
                    " half of what lies in the storage would be encrypted and half of it not"
                ),
            ),
        )
    )

    hostname: Annotated[
        HostName,
        Field(description="Host name of the public domain, as in `docker pull <hostname>/name/image`."),
    ]
    private_hostname: Annotated[
        HostName | None,
        Field(description="Host name of the private domain; default: private.<hostname>."),
    ] = None
    replicas: Annotated[
        int,
        Field(
            ge=1,
            le=100,
            description="How many replicas serve; with spec.autoscaling: before and after it.",
        ),
    ] = 3
    autoscaling: Annotated[
        Autoscaling | None, Field(description="Replicas follow the load. None: there are spec.replicas.")
    ] = None
    zones: Annotated[Zones, Field(description="Spread over failure domains.")] = Zones()
    storage: Annotated[Storage, Field(description="Where the content is kept.")]
    encryption: Annotated[
        Encryption | None,
        Field(description="The tenant's own keys; only at creation. None: content lies as it was pushed."),
    ] = None
    collection: Annotated[
        Collection, Field(description="When content that nothing refers to is deleted.")
    ] = Collection()
    tls: Annotated[Tls, Field(description="Certificate of both domains; default: selfSigned.")] = Tls()
    exposure: Annotated[Exposure, Field(description="How clients reach the two domains.")] = Exposure()
    allowed_namespaces: Annotated[
        AllowedNamespaces,
        Field(description="Which Kubernetes namespaces may claim Namespaces and AccessTokens here."),
    ] = AllowedNamespaces()
    private_only: Annotated[
        bool,
        Field(
            description=(
                "The public domain refuses pulls and pushes; the private domain serves them. Logins, and the "
                "management by Kubernetes, stay as they are."
            )
        ),
    ] = False
    authentication: Annotated[
        Authentication, Field(description="Who, beside AccessTokens, may say who somebody is.")
    ] = Authentication()
    observability: Annotated[
        Observability, Field(description="What is told of requests, beside metrics and log.")
    ] = Observability()
    resources: Annotated[Resources, Field(description="CPU and memory of one replica.")] = Resources()
    upgrades: Annotated[
        Upgrades, Field(description="When the pods change to another release of the runtime.")
    ] = Upgrades()
    deletion_policy: Annotated[
        Literal["Retain", "Delete"],
        Field(
            description=(
                "What becomes of the content in the bucket when the Registry is deleted. Retain: it stays. "
                "Delete: all of it goes for ever, that of other accounts too, and the Registry waits for it."
            )
        ),
    ] = "Retain"
    image_pull_secrets: Annotated[
        tuple[SecretRef, ...],
        Field(
            max_length=8,
            description="Secrets with which nodes pull the runtime's own image.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()

    @property
    def most_replicas(self) -> int:
        """There may be so many, without a change of the spec."""
        return self.autoscaling.max_replicas if self.autoscaling else self.replicas

    @property
    def private_host(self) -> str:
        return self.private_hostname or f"private.{self.hostname}"

    @property
    def public_hosts(self) -> tuple[str, ...]:
        """The canonical one first, each once."""
        return tuple(dict.fromkeys((self.hostname, *self.exposure.hosts)))


class Endpoints(Value):
    """Where the Registry is."""

    public: Annotated[str, Field(description="URL of the public domain.")]
    private: Annotated[str, Field(description="URL of the private domain.")]


class DeletionStatus(Value):
    """How far the deletion of the content has come."""

    since: Annotated[Time, Field(description="When the pod began that deletes, and counts.")]
    objects: Annotated[int, Field(description="Objects of the bucket that it has deleted.")] = 0
    bytes: Annotated[int, Field(description="How large they were.")] = 0
    others: Annotated[
        int, Field(description="Objects under the prefix that are none of the Registry's: they stay.")
    ] = 0


class RegistryStatus(OwnStatus):
    """What the operator found."""

    endpoints: Annotated[Endpoints | None, Field(description="Where the Registry is.")] = None
    replicas: Annotated[int, Field(description="Pods of this Registry.")] = 0
    ready_replicas: Annotated[int, Field(description="Pods that serve.")] = 0
    desired_replicas: Annotated[
        int, Field(description="Pods that there should be: spec.replicas, or what the autoscaler wants.")
    ] = 0
    release: Annotated[
        str | None, Field(description="What the pods run: image of the runtime, revision of the template.")
    ] = None
    previous_release: Annotated[
        str | None, Field(description="What they ran before the last upgrade: the way back.")
    ] = None
    released_at: Annotated[
        Time | None, Field(description="When the last upgrade began; none before the first.")
    ] = None
    selector: Annotated[str | None, Field(description="Labels of the pods, for the scale subresource.")] = (
        None
    )
    zones: dict[str, int] = Field(
        default={}, description="Serving replicas of each zone that has, or had, one."
    )
    policy_revision: Annotated[
        str | None, Field(description="Revision of the access policy that replicas should have.")
    ] = None
    policy_acknowledged_by: Annotated[
        tuple[str, ...], Field(description="Pods that report this revision in force.")
    ] = ()
    encryption: Annotated[
        EncryptionStatus | None, Field(description="The tenant's keys, as the replicas use them.")
    ] = None
    deletion: Annotated[
        DeletionStatus | None, Field(description="With deletionPolicy Delete, while the Registry is deleted.")
    ] = None
    ca_bundle: Annotated[
        str | None, Field(description="ConfigMap whose ca.crt clients must trust; none for a public CA.")
    ] = None


@dataclass(frozen=True)
class Registry(Resource[RegistrySpec, RegistryStatus]):
    """A Registry."""

    KIND = "Registry"

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> Self:
        """Raises InvalidResource."""
        return cls._parse(obj, RegistrySpec, RegistryStatus)
