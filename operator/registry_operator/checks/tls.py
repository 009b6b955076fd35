"""TLSReady: whether clients will accept the certificate of the domains."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from registry_operator import names
from registry_operator.checks.finding import Finding, no, unknown, yes
from registry_operator.checks.sentences import listed, not_permitted
from registry_operator.desired.certificates import hosts, serving
from registry_operator.models.base import format_time
from registry_operator.observed import SecretData
from registry_operator.tls import Certificate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry_operator.desired.rendered import Rendered
    from registry_operator.models import Registry
    from registry_operator.observed import RegistryObserved
    from registry_operator.settings import Settings

TYPE = "TLSReady"


def check(observed: RegistryObserved, rendered: Rendered, settings: Settings) -> Finding:
    registry = observed.registry
    key = serving(registry)
    if key.namespace in observed.secrets.refused:
        message = not_permitted([key.namespace], settings, names.REGISTRY_ROLE)
        return no(TYPE, "SecretsNotPermitted", message, mend=True)
    if registry.spec.tls.secret_ref is None:
        return _own(registry, rendered)
    found = observed.secrets.get(key)
    if not isinstance(found, SecretData):
        message = f"Secret {key} of spec.tls.secretRef does not exist; create it with tls.crt and tls.key"
        return no(TYPE, "SecretNotFound", message, mend=True)
    return _given(observed, found.values, f"Secret {key} of spec.tls.secretRef")


def _own(registry: Registry, rendered: Rendered) -> Finding:
    child = rendered.child("Secret", names.tls(registry))
    if child is None:
        return unknown(TYPE, "Pending", "the certificate is not made yet")
    values = {name: base64.b64decode(value) for name, value in child["data"].items()}
    until = format_time(Certificate.read(values).not_after)
    message = f"valid until {until} and renewed before, by the Registry's CA"
    if follows := _follows(registry, rendered):
        message += f"; the next CA is in the bundle, and signs from {follows}"
    return yes(TYPE, "CertificateIssued", message)


def _follows(registry: Registry, rendered: Rendered) -> str | None:
    """When another CA signs, where one is about to."""
    child = rendered.child("Secret", names.ca(registry))
    about_to = child is not None and "next.crt" in child["data"]
    return format_time(rendered.turns) if about_to and rendered.turns else None


def _given(observed: RegistryObserved, values: Mapping[str, bytes], place: str) -> Finding:
    """A certificate that the user brought."""
    lacking = [name for name in ("tls.crt", "tls.key") if not values.get(name)]
    if lacking:
        return no(TYPE, "SecretKeyMissing", f"{place} lacks {' and '.join(lacking)}", mend=True)
    try:
        certificate = Certificate.read(values)
    except ValueError as error:
        return no(TYPE, "CertificateInvalid", f"{place}: {error}", mend=True)
    until = format_time(certificate.not_after)
    if not certificate.not_before <= observed.now < certificate.not_after:
        since = format_time(certificate.not_before)
        return no(TYPE, "CertificateExpired", f"{place} is valid from {since} until {until}", mend=True)
    uncovered = [host for host in hosts(observed.registry) if not certificate.covers(host)]
    if uncovered:
        message = f"{place} is not valid for {listed(uncovered)}; add the names to its certificate"
        return no(TYPE, "HostNotCovered", message, mend=True)
    return yes(TYPE, "CertificateProvided", f"valid until {until}; Secret {serving(observed.registry)}")
