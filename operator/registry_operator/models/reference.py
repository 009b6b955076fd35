"""How a Namespace or an AccessToken names its Registry."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from registry_operator.models.base import Key, NamespaceName, ObjectName, Value


class RegistryRef(Value):
    """A Registry, in the own Kubernetes namespace unless another is named."""

    name: Annotated[ObjectName, Field(max_length=40, description="Name of the Registry.")]
    namespace: Annotated[
        NamespaceName | None,
        Field(description="Kubernetes namespace of the Registry; default: the one of this resource."),
    ] = None

    def key(self, own_namespace: str) -> Key:
        return Key(self.namespace or own_namespace, self.name)
