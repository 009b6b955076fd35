"""The custom resources as values. The CRDs in crds/ are printed from these classes by `crd`."""

from registry_operator.models.access_token import (
    AccessToken,
    AccessTokenSpec,
    AccessTokenStatus,
    Domain,
    Permission,
    PullSecrets,
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
    Selector,
    parse_time,
)
from registry_operator.models.encryption import Encryption, EncryptionStatus, HeldKey, Rewrapping
from registry_operator.models.namespace import Namespace, NamespaceSpec, NamespaceStatus
from registry_operator.models.reference import RegistryRef
from registry_operator.models.registry import Endpoints, Registry, RegistrySpec, RegistryStatus
from registry_operator.models.storage import (
    S3,
    CaBundleRef,
    Collection,
    SecretRef,
    ServerSideEncryption,
    Storage,
    WorkloadIdentity,
)

__all__ = [
    "API_VERSION",
    "GROUP",
    "S3",
    "VERSION",
    "AccessToken",
    "AccessTokenSpec",
    "AccessTokenStatus",
    "CaBundleRef",
    "Collection",
    "Condition",
    "Domain",
    "Encryption",
    "EncryptionStatus",
    "Endpoints",
    "HeldKey",
    "Key",
    "Meta",
    "Namespace",
    "NamespaceSpec",
    "NamespaceStatus",
    "OwnStatus",
    "Permission",
    "PullSecrets",
    "Registry",
    "RegistryRef",
    "RegistrySpec",
    "RegistryStatus",
    "Rewrapping",
    "SecretRef",
    "Selector",
    "ServerSideEncryption",
    "Storage",
    "Targets",
    "WorkloadIdentity",
    "parse_time",
]
