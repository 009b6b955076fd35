"""Whose certificate the domains of a Registry are served with."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from registry_operator.models.base import DNS_NAME, DURATION, ObjectName, Value, rules
from registry_operator.models.storage import SecretRef

CERT_MANAGER = "cert-manager.io"


class SelfSigned(Value):
    """A CA of the Registry's own, and certificates that are renewed."""

    ca_generation: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description=(
                "Another number than before has a new CA made, which follows the present one after caNotice."
                " The first CA is 1 unless said otherwise; without a number the present one stays."
            ),
        ),
    ] = None
    ca_notice: Annotated[
        str,
        Field(
            pattern=DURATION,
            description=(
                "How long a new CA stands in the bundle before it signs, and an old one after it signed: all"
                " clients and nodes must have read the bundle by then. A number and s, m, h or d."
            ),
        ),
    ] = "7d"


class IssuerRef(Value):
    """An issuer of cert-manager, or one that works with it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.group != 'cert-manager.io' || self.kind in ['Issuer', 'ClusterIssuer']",
                "spec.tls.issuerRef.kind of group cert-manager.io is Issuer or ClusterIssuer",
            ),
        )
    )

    name: Annotated[ObjectName, Field(description="Name of the issuer.")]
    kind: Annotated[
        str,
        Field(
            max_length=63,
            pattern=r"^[A-Z][A-Za-z0-9]*$",
            description="Issuer (of the same Kubernetes namespace), ClusterIssuer, or a kind of the group.",
        ),
    ] = "Issuer"
    group: Annotated[
        str,
        Field(max_length=253, pattern=DNS_NAME, description="API group of the issuer, for those of others."),
    ] = CERT_MANAGER


class Tls(Value):
    """At most one of the fields; none means selfSigned.

    A default of one would stay in the stored object, where an apply of the other only adds to it.
    """

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "[has(self.selfSigned), has(self.secretRef), has(self.issuerRef)].filter(e, e).size() <= 1",
                "spec.tls must have at most one of selfSigned, secretRef and issuerRef",
            ),
        )
    )

    self_signed: Annotated[
        SelfSigned | None,
        Field(description="Own CA, renewed by Roadstead; ConfigMap <name>-ca-bundle has it for clients."),
    ] = None
    secret_ref: Annotated[
        SecretRef | None,
        Field(description="A kubernetes.io/tls Secret with a certificate for all host names."),
    ] = None
    issuer_ref: Annotated[
        IssuerRef | None,
        Field(
            description="Issuer of cert-manager that signs, and renews, the certificate of all host names."
        ),
    ] = None
