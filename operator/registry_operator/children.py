"""What is kept of the objects that are there because of a Registry: its children, their pods and slices."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from registry_operator.models import Key
from registry_operator.observed import Autoscaler, Endpoint, Reported, Rollout, Waiting


@dataclass(frozen=True)
class Child:
    """A child as last seen. `content` is its JSON without managedFields and status, deflated (zlib).

    Its resource version makes no difference: what others write of it, such as its status, wakes nobody.
    """

    kind: str
    key: Key
    uid: str
    registry: Key
    rendered: str  # annotation `names.RENDERED`
    content: bytes = field(repr=False)
    owners: tuple[str, ...] = ()  # UIDs of ownerReferences
    rollout: Rollout | None = None  # of a Deployment
    autoscaler: Autoscaler | None = None  # of a HorizontalPodAutoscaler
    resource_version: str = field(default="", compare=False)
    reported: Reported | None = None  # of what has a controller of its own

    @property
    def document(self) -> dict[str, Any]:
        """What the content says."""
        found: dict[str, Any] = json.loads(zlib.decompress(self.content))
        return found

    @property
    def data(self) -> Mapping[str, str]:
        """Of a ConfigMap."""
        return self.document.get("data") or {}


@dataclass(frozen=True)
class Pod:
    """A pod of a Registry."""

    registry: Key
    waiting: Waiting | None = None
    uid: str = ""
    resource_version: str = field(default="", compare=False)


@dataclass(frozen=True)
class Slice:
    """One EndpointSlice of a Registry's Service."""

    registry: Key
    service: str
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True)
class Request:
    """A CertificateRequest of cert-manager for a Registry."""

    registry: Key
    reported: Reported
