"""How clients reach the two domains of a Registry."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from registry_operator.models.base import LABEL, HostName, NamespaceName, ObjectName, Subnet, Value, rules

ROUTE_HOSTS = 16  # of a route of Gateway API


class Ingress(Value):
    """An Ingress for the public domain."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.annotations) || self.annotations.all(name, !name.contains('snippet'))",
                (
                    "spec.exposure.ingress.annotations must not have snippets: they are configuration of the"
                    " whole controller, which serves others, too"
                ),
            ),
            (
                (
                    "!has(self.annotations) || self.annotations.all(name, !name.contains('cert-manager.io/')"
                    " && !name.contains('roadstead.dev/') && !name.contains('kubernetes.io/ingress.class'))"
                ),
                (
                    "spec.exposure.ingress.annotations must not have those of cert-manager.io, roadstead.dev"
                    " or kubernetes.io/ingress.class: use spec.tls.issuerRef and className"
                ),
            ),
        )
    )

    class_name: Annotated[
        ObjectName | None, Field(description="IngressClass; none: the cluster's default one.")
    ] = None
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=1024)]],
        Field(max_length=32, description="Annotations of the Ingress: what its controller is told."),
    ] = {}  # noqa: RUF012 - pydantic copies it
    tls: Annotated[
        Literal["Terminate", "Passthrough"],
        Field(
            description=(
                "Terminate: the controller ends TLS, with the Registry's own certificate. Passthrough: the"
                " replicas do; the controller is told so by an annotation of its own."
            )
        ),
    ] = "Terminate"


class ParentRef(Value):
    """A Gateway, or one listener of it."""

    name: Annotated[ObjectName, Field(description="Name of the Gateway.")]
    namespace: Annotated[
        NamespaceName | None,
        Field(description="Its Kubernetes namespace; default: the Registry's own."),
    ] = None
    section_name: Annotated[
        str | None,
        Field(
            max_length=253,
            pattern=rf"^{LABEL}(\.{LABEL})*$",
            description="The listener; none: all that take the host names.",
        ),
    ] = None
    port: Annotated[
        int | None, Field(ge=1, le=65535, description="The listeners of this port; none: of any.")
    ] = None


class Gateway(Value):
    """A route of Gateway API for the public domain."""

    parent_refs: Annotated[
        tuple[ParentRef, ...],
        Field(min_length=1, max_length=8, description="Gateways that carry the traffic."),
    ]
    kind: Annotated[
        Literal["HTTPRoute", "TLSRoute"],
        Field(
            description=(
                "HTTPRoute: the Gateway ends TLS with its own certificate, and speaks TLS to the replicas by"
                " a BackendTLSPolicy. TLSRoute: it passes TLS through to the replicas."
            )
        ),
    ]


class Exposure(Value):
    """How clients reach the two domains."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                f"!has(self.gateway) || !has(self.hosts) || self.hosts.size() < {ROUTE_HOSTS}",
                (
                    f"spec.exposure.hosts has at most {ROUTE_HOSTS - 1} names with a gateway: a route has"
                    f" {ROUTE_HOSTS}, spec.hostname among them"
                ),
            ),
        )
    )

    service_type: Annotated[
        Literal["ClusterIP", "NodePort", "LoadBalancer"], Field(description="Type of the public Service.")
    ] = "ClusterIP"
    ingress: Annotated[
        Ingress | None,
        Field(description="An Ingress for the public domain; the private one never goes through it."),
    ] = None
    gateway: Annotated[
        Gateway | None,
        Field(description="A route of Gateway API for the public domain; the private one never takes it."),
    ] = None
    hosts: Annotated[
        tuple[HostName, ...],
        Field(
            max_length=16,
            description="Further host names of the public domain.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ()
    private_networks: Annotated[
        tuple[Subnet, ...],
        Field(
            max_length=32,
            description=(
                "Subnets (CIDR) that reach the private domain, beside the pods of the cluster; "
                "the nodes' must be among them. None: every private address (RFC 1918, 4193, 6598)."
            ),
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ()
