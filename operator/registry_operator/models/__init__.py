"""The custom resources as values. The CRDs in crds/ are printed from these classes by `crd`."""

from registry_operator.models.access import Access, OidcSubject, Role, Subject
from registry_operator.models.access_token import (
    AccessToken,
    AccessTokenSpec,
    AccessTokenStatus,
    Domain,
    Image,
    Permission,
    PullSecrets,
    Rotation,
    Targets,
)
from registry_operator.models.base import (
    API_VERSION,
    GROUP,
    VERSION,
    Condition,
    Key,
    Meta,
    OwnStatus,
    Place,
    Selector,
    is_older,
    parse_time,
)
from registry_operator.models.encryption import Encryption, EncryptionStatus, HeldKey, Rewrapping
from registry_operator.models.exposure import Exposure, Gateway, Ingress, ParentRef
from registry_operator.models.namespace import Namespace, NamespaceSpec, NamespaceStatus
from registry_operator.models.reference import RegistryRef
from registry_operator.models.registry import (
    DeletionStatus,
    Endpoints,
    Registry,
    RegistrySpec,
    RegistryStatus,
)
from registry_operator.models.release import Release
from registry_operator.models.storage import (
    S3,
    CaBundleRef,
    Collection,
    SecretRef,
    ServerSideEncryption,
    Storage,
    WorkloadIdentity,
)
from registry_operator.models.tls import IssuerRef, Tls
from registry_operator.models.upgrades import Upgrades, Window

__all__ = [
    "API_VERSION",
    "GROUP",
    "S3",
    "VERSION",
    "Access",
    "AccessToken",
    "AccessTokenSpec",
    "AccessTokenStatus",
    "CaBundleRef",
    "Collection",
    "Condition",
    "DeletionStatus",
    "Domain",
    "Encryption",
    "EncryptionStatus",
    "Endpoints",
    "Exposure",
    "Gateway",
    "HeldKey",
    "Image",
    "Ingress",
    "IssuerRef",
    "Key",
    "Meta",
    "Namespace",
    "NamespaceSpec",
    "NamespaceStatus",
    "OidcSubject",
    "OwnStatus",
    "ParentRef",
    "Permission",
    "Place",
    "PullSecrets",
    "Registry",
    "RegistryRef",
    "RegistrySpec",
    "RegistryStatus",
    "Release",
    "Rewrapping",
    "Role",
    "Rotation",
    "SecretRef",
    "Selector",
    "ServerSideEncryption",
    "Storage",
    "Subject",
    "Targets",
    "Tls",
    "Upgrades",
    "Window",
    "WorkloadIdentity",
    "is_older",
    "parse_time",
]
