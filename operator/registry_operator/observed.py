"""Everything that one reconcile read, once: the pure middle decides from these values and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Self

from registry_operator import names
from registry_operator.errors import InvalidResource
from registry_operator.models import AccessToken, Key, Namespace, Registry, Release
from registry_runtime.contract.policy import Policy, packed
from registry_runtime.contract.state import ReplicaState

SMALL = 100  # entries of a policy
HALTED = "UpgradeHalted"


class Absence(Enum):
    """Why an object cannot be used."""

    MISSING = "missing"
    NOT_PERMITTED = "not permitted"  # the namespace has not opted in; what is there cannot be known
    UNANSWERED = "unanswered"  # the API server fails when it is asked for this kind


@dataclass(frozen=True, slots=True)
class SecretData:
    """A Secret. `values` are the decoded bytes; they are never printed."""

    values: Mapping[str, bytes] = field(repr=False)
    uid: str = ""
    resource_version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    owners: tuple[str, ...] = ()  # UIDs of ownerReferences
    deleting: bool = False

    @property
    def made_for(self) -> tuple[str, ...]:
        """UIDs of its owners; the label is in the place of a reference where none is allowed."""
        label = self.labels.get(names.OWNER_UID)
        return (*self.owners, label) if label else self.owners


@dataclass(frozen=True)
class SecretView:
    """Secrets as one moment saw them. A namespace in `refused` answered 403: nothing is known of it."""

    found: Mapping[Key, SecretData] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()

    def get(self, key: Key) -> SecretData | Absence:
        if key.namespace in self.refused:
            return Absence.NOT_PERMITTED
        return self.found.get(key, Absence.MISSING)


@dataclass(frozen=True)
class KubernetesNamespace:
    """A core/v1 Namespace: an account."""

    name: str
    uid: str
    labels: Mapping[str, str] = field(default_factory=dict)
    terminating: bool = False
    resource_version: str = field(default="", compare=False)


@dataclass(frozen=True)
class Consent:
    """A RoleBinding by which a Kubernetes namespace opts in.

    `grant` is what it gives, and to whom: another text is another right. `accounts` are those that its
    annotations name, and whether their pull secrets are taken.
    """

    grant: str
    accounts: Mapping[str, bool] = field(default_factory=dict)
    beside: bool = False  # for kinds of `names.CONSENT`: it lets nobody read Secrets


@dataclass(frozen=True, slots=True)
class PlacedEntry:
    """What a token put into a ServiceAccount's `imagePullSecrets`; `owner` is as in `names.OWNER`."""

    secret: str
    owner: str


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A core/v1 ServiceAccount. `placed` are the entries that are Roadstead's, by the UID of the token."""

    resource_version: str
    pull_secrets: tuple[str, ...] = ()
    placed: Mapping[str, PlacedEntry] = field(default_factory=dict)
    uid: str = ""


@dataclass(frozen=True)
class Endpoint:
    """One pod behind the Registry's Service, as its EndpointSlices say. `zone` is "" where unknown."""

    pod: str
    zone: str
    ready: bool
    serving: bool = True
    terminating: bool = False
    address: str = ""


@dataclass(frozen=True)
class Waiting:
    """Why a pod's container does not run, or why the pod is not placed."""

    reason: str  # of the container's waiting state, such as ImagePullBackOff, or Unschedulable
    message: str = ""


@dataclass(frozen=True)
class Turn:
    """What the fleet says of an automatic upgrade: it begins, or waits, at most until `due`."""

    begins: bool = False
    reason: str = "Waiting"  # or HALTED
    message: str = ""
    due: datetime | None = None


@dataclass(frozen=True)
class Rollout:
    """The Registry's Deployment. `rendered` is its annotation `roadstead.dev/rendered`."""

    rendered: str
    generation: int
    observed_generation: int
    replicas: int  # pods of all revisions
    updated: int  # pods of the newest
    available: int
    stuck: str = ""  # message of Progressing=False or ReplicaFailure=True, else ""
    wanted: int = 0  # its own spec.replicas, which an autoscaler writes
    release: Release | None = None  # what its pods are of
    certificate: str = ""  # the Secret that its pods serve the domains with


@dataclass(frozen=True)
class Autoscaler:
    """The Registry's HorizontalPodAutoscaler. `active` is None before it has looked for the first time."""

    wanted: int = 0
    active: bool | None = None
    message: str = ""  # why it is not active
    limit: str = ""  # TooManyReplicas, TooFewReplicas, "" where it is free


@dataclass(frozen=True)
class Running:
    """The pods of the cluster that run images of a Registry; `own` are some of its own namespace."""

    pods: int = 0
    own: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reported:
    """What the controller of a child says of it: of a Certificate, an Ingress, a route."""

    generation: int  # of the child now
    made: str  # when the child was created
    status: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Conflict:
    """A child that was not applied: an object of that name is there and is not ours."""

    kind: str
    key: Key


@dataclass(frozen=True)
class Unreadable:
    """A stored resource that the models cannot read, as the API server has it: nothing in it is checked."""

    raw: Mapping[str, Any] = field(repr=False)
    error: InvalidResource

    @property
    def uid(self) -> str:
        return str(self.raw["metadata"].get("uid"))

    @property
    def version(self) -> str:
        return str(self.raw["metadata"].get("resourceVersion") or "")

    @property
    def name(self) -> object:
        """`spec.name`, which a Namespace claims."""
        spec = self.raw.get("spec")
        return spec.get("name") if isinstance(spec, dict) else None


@dataclass(frozen=True)
class RegistryObserved:
    """What a reconcile of one Registry saw.

    `namespaces` and `tokens` are those that name this Registry, also from other Kubernetes namespaces.
    `secrets` answers for all Secrets of the Registry's namespace (children, credentials, CA, TLS) and for
    the password Secret of each token. `claims` is the data of the ConfigMap of `names.claims`. `ca_bundle`
    is the data of the ConfigMap that spec.storage.s3.caBundleRef names, None where it names none
    or it was not read yet.
    `reported` are children that have controllers of their own, by kind (of CertificateRequests the newest);
    `unserved` are kinds that the API server does not serve, or not to us; `denied` those (of `names.CONSENT`)
    that the Registry's namespace has not let us write, `left` those that it has not let us delete, though the
    spec wants them no longer.
    `replicas` lacks a pod that was not asked yet, and has None for one that was asked and did not answer.
    `held` are children, as kind and name, that are not as they should be and not written while the Registry
    is paused; None: it is not. `turn` is None where no automatic upgrade waits.
    """

    registry: Registry
    now: datetime
    namespaces: tuple[Namespace, ...] = ()
    tokens: tuple[AccessToken, ...] = ()
    kubernetes_namespaces: Mapping[str, KubernetesNamespace] = field(default_factory=dict)
    secrets: SecretView = SecretView()
    claims: Mapping[str, str] = field(default_factory=dict)
    ca_bundle: Mapping[str, str] | Absence | None = None
    rollout: Rollout | None = None
    autoscaler: Autoscaler | None = None
    endpoints: tuple[Endpoint, ...] = ()
    replicas: Mapping[str, ReplicaState | None] = field(default_factory=dict)  # by pod
    running: Running | None = None  # None: nobody has looked yet
    waiting: Mapping[str, Waiting] = field(default_factory=dict)  # by pod
    conflicts: tuple[Conflict, ...] = ()  # of the applies of this reconcile
    held: tuple[str, ...] | None = None
    turn: Turn | None = None
    unreadable: tuple[Unreadable, ...] = ()  # Namespaces and AccessTokens of any Registry
    reported: Mapping[str, Reported] = field(default_factory=dict)
    unserved: Mapping[str, Absence] = field(default_factory=dict)
    denied: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()

    @property
    def wanted(self) -> int:
        """How many replicas there should be: an autoscaler says so in the Deployment."""
        if self.registry.spec.autoscaling and self.rollout:
            return self.rollout.wanted
        return self.registry.spec.replicas


def is_small(policy: Policy) -> bool:
    """Whether it is better made anew, in half a millisecond at most, than kept as it is."""
    return len(policy.tokens) + len(policy.namespaces) <= SMALL


@dataclass(frozen=True)
class Propagation:
    """How far the newest policy of one Registry has come: what each ready replica reports.

    It is kept for as long as the Registry is there: a thousand small policies as they are would be 11 MiB.
    """

    kept: Policy | bytes  # packed, where it is small
    revision: str
    reported: Mapping[str, str | None]  # by ready pod; None: it did not answer, or has no policy
    unasked: frozenset[str] = frozenset()  # ready pods that were not asked yet

    @classmethod
    def of(
        cls,
        policy: Policy,
        revision: str,
        reported: Mapping[str, str | None],
        unasked: frozenset[str] = frozenset(),
    ) -> Self:
        kept = packed(policy.encode()) if is_small(policy) else policy
        return cls(kept, revision, reported, unasked)

    @property
    def policy(self) -> Policy:
        return Policy.decode(self.kept) if isinstance(self.kept, bytes) else self.kept

    @property
    def behind(self) -> tuple[str, ...]:
        """Ready pods that do not report this revision."""
        return tuple(sorted(pod for pod, revision in self.reported.items() if revision != self.revision))

    @property
    def everywhere(self) -> bool | None:
        """Whether some replica is ready and every ready one has it in force; None: not known yet."""
        if self.behind:
            return False
        return None if self.unasked else bool(self.reported)


@dataclass(frozen=True)
class NamespaceObserved:
    """What a reconcile of one Namespace saw.

    `registry` is None where there is none. `rivals` are the other Namespaces of that Registry with the
    same spec.name, `tokens` the AccessTokens that its access names. `claims` is the data of its ConfigMap
    of claims as written; `propagation` is what the last reconcile of the Registry found, None before the
    first.
    """

    namespace: Namespace
    now: datetime
    registry: Registry | None = None
    rivals: tuple[Namespace, ...] = ()
    tokens: Mapping[Key, AccessToken] = field(default_factory=dict)
    kubernetes_namespaces: Mapping[str, KubernetesNamespace] = field(default_factory=dict)
    claims: Mapping[str, str] = field(default_factory=dict)
    propagation: Propagation | None = None


@dataclass(frozen=True, slots=True)
class TokenActivity:
    """What replicas told of an AccessToken: when it was last used, and how many of its uses are spent."""

    last: datetime | None = None
    spent: int | None = None


@dataclass(frozen=True)
class TokenObserved:
    """What a reconcile of one AccessToken saw.

    `registries` and `propagations` are by Registry, those that are there; in those of `settled` every replica
    that serves knows what the policy says of this token. `placed` are the Secrets that
    carry this token's UID in the label of `names.OWNER_UID`, in all namespaces that can be read.
    `consents` are RoleBindings by Kubernetes namespace and name. `listing` are the ServiceAccounts with an
    entry of this token in `imagePullSecrets`, by the annotation of `names.IMAGE_PULL_SECRETS`.
    """

    token: AccessToken
    now: datetime
    registries: Mapping[Key, Registry] = field(default_factory=dict)
    propagations: Mapping[Key, Propagation] = field(default_factory=dict)
    settled: frozenset[Key] = frozenset()
    kubernetes_namespaces: Mapping[str, KubernetesNamespace] = field(default_factory=dict)
    secrets: SecretView = SecretView()
    placed: frozenset[Key] = frozenset()
    activity: TokenActivity = TokenActivity()
    consents: Mapping[str, Mapping[str, Consent]] = field(default_factory=dict)
    service_accounts: Mapping[Key, ServiceAccount] = field(default_factory=dict)
    listing: frozenset[Key] = frozenset()
