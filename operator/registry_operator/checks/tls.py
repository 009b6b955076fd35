"""TLSReady: whether clients will accept the certificate of the domains."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from registry_operator import names
from registry_operator.checks.finding import Finding, no, unknown, yes
from registry_operator.checks.sentences import listed, not_permitted, unavailable
from registry_operator.desired.certificates import foreign, hosts, is_written, serving
from registry_operator.models.base import format_time
from registry_operator.observed import Absence, SecretData
from registry_operator.tls import Certificate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry_operator.desired.rendered import Rendered
    from registry_operator.models import Registry
    from registry_operator.observed import RegistryObserved, Reported
    from registry_operator.settings import Settings

TYPE = "TLSReady"


def check(observed: RegistryObserved, rendered: Rendered, settings: Settings) -> Finding:
    registry = observed.registry
    key = serving(registry)
    if key.namespace in observed.secrets.refused:
        message = not_permitted([key.namespace], settings, names.REGISTRY_ROLE)
        return no(TYPE, "SecretsNotPermitted", message, mend=True)
    if refused := _not_let(observed, settings):
        return refused
    if registry.spec.tls.issuer_ref is not None:
        return _issued(observed)
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


def _issued(observed: RegistryObserved) -> Finding:
    """By cert-manager, whose own words are quoted."""
    key = names.tls(observed.registry)
    lacking = _lacking(observed)
    if lacking:
        return lacking
    if foreign(observed):
        message = f"Secret {key} is there and is not Roadstead's; cert-manager would overwrite it: delete it"
        return no(TYPE, "NameConflict", message, mend=True)
    reported = observed.reported.get("Certificate")
    if reported is None:
        return unknown(TYPE, "Pending", "the Certificate is not made yet")
    ready = said(reported, "Ready")
    found = observed.secrets.get(key)
    if (
        ready.get("status") != "True"
        or not isinstance(found, SecretData)
        or not is_written(found, observed.registry)
    ):
        return no(TYPE, "CertificatePending", _pending(observed, ready))
    given = _given(observed, found.values, f"Secret {key} of cert-manager")
    if given.status != "True":
        return given
    until = format_time(Certificate.read(found.values).not_after)
    return yes(TYPE, "CertificateIssued", f"valid until {until} and renewed before, by cert-manager")


def _not_let(observed: RegistryObserved, settings: Settings) -> Finding | None:
    """That its namespace lets no Certificate in, or does not let the one of before go."""
    if "Certificate" in observed.denied:
        word = "write a Certificate here"
    elif "Certificate" in observed.left:
        word = "delete the Certificate, which spec.tls has no longer: cert-manager goes on renewing it"
    else:
        return None
    command = settings.grant(observed.registry.meta.namespace, names.CERTIFICATES_ROLE)
    return no(TYPE, "NotPermitted", f"Roadstead may not {word}; run:\n{command}", mend=True)


def _lacking(observed: RegistryObserved) -> Finding | None:
    """What a Certificate needs of the cluster."""
    match observed.unserved.get("Certificate"):
        case Absence.MISSING:
            message = (
                "the API server does not serve Certificates of cert-manager.io/v1: install cert-manager (it "
                "is found by itself then), or use selfSigned or secretRef of spec.tls"
            )
            return no(TYPE, "CertManagerNotInstalled", message, mend=True)
        case Absence.NOT_PERMITTED:
            message = "the operator may not read Certificates: apply its manifests/ again"
            return no(TYPE, "NotPermitted", message, mend=True)
        case Absence.UNANSWERED:
            return no(TYPE, "KindUnavailable", unavailable("Certificate"), mend=True)
    return None


def _pending(observed: RegistryObserved, ready: Mapping[str, Any]) -> str:
    """The Certificate says that it waits; its newest request says what for."""
    words = [ready.get("message") or "cert-manager has not said anything yet: does it run?"]
    request = observed.reported.get("CertificateRequest")
    if request is not None:
        words.append(str(said(request, "Ready").get("message") or ""))
    issuer = observed.registry.spec.tls.issuer_ref
    asked = f"{issuer.kind} {issuer.name}" if issuer else ""
    return f"{asked} has not issued a certificate: {'; '.join(filter(None, words))}"


def said(reported: Reported, kind: str) -> Mapping[str, Any]:
    """A condition of a child, {} where it is not there or speaks of an older generation."""
    conditions = {one["type"]: one for one in reported.status.get("conditions") or ()}
    found: Mapping[str, Any] = conditions.get(kind, {})
    current = found.get("observedGeneration", reported.generation) >= reported.generation
    return found if current else {}


def _given(observed: RegistryObserved, values: Mapping[str, bytes], place: str) -> Finding:
    """A certificate that another made."""
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
