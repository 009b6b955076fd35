"""TLS of the listeners: renewed certificates are taken over for new connections, old ones go on."""

from __future__ import annotations

import asyncio
import logging
import ssl
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from registry_runtime.log import fields

_log = logging.getLogger(__name__)
CERTIFICATE = "tls.crt"
KEY = "tls.key"
CLIENT_CA = "ca.crt"


class CertificateInvalid(Exception):
    """The files of a certificate cannot be served."""


class ServedCertificate:
    """The certificate of a directory, read again when a file of it changes.

    With `clients`, only who shows a certificate that `ca.crt` signed is let in, and only where the
    certificate is for client authentication (`lets_in`).
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None = None) -> None:
        """Raises CertificateInvalid."""
        self._files = (certificate, key, *([client_ca] if client_ca is not None else []))
        self._client_ca = client_ca
        self._seen = self._look()
        self.ends = 0.0  # in seconds of Unix
        self._current = self._load()
        self.context = self._load()
        self.context.sni_callback = self._choose

    @classmethod
    def of(cls, directory: Path, *, clients: bool = False) -> ServedCertificate:
        """The files of a mounted Secret of type kubernetes.io/tls."""
        client_ca = directory / CLIENT_CA if clients else None
        return cls(directory / CERTIFICATE, directory / KEY, client_ca)

    def refresh(self) -> bool:
        """Takes over what changed on the disk; a pair that does not fit is refused, and said once."""
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self._current = self._load()
        except CertificateInvalid as error:
            _log.error("a renewed certificate is refused, the old one stays", extra=fields(error=str(error)))
            return False
        _log.info("serving the renewed certificate", extra=fields(file=str(self._files[0])))
        return True

    def lets_in(self, connection: ssl.SSLObject) -> bool:
        """Whether the client, whose handshake went well, showed a certificate that is for clients.

        OpenSSL refuses a certificate for other purposes, but takes one that names none (RFC 5280
        §4.2.1.12) for good for all.
        """
        if self._client_ca is None:
            return True
        shown = connection.getpeercert(binary_form=True)
        return shown is not None and _is_for_clients(shown)

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called in each handshake, with or without a name from the client."""
        connection.context = self._current

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._files[0], self._files[1])
            ends = x509.load_pem_x509_certificate(self._files[0].read_bytes()).not_valid_after_utc
            if self._client_ca is not None:
                context.load_verify_locations(self._client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
                # A resumed session would bring a certificate back that is no longer trusted.
                context.options |= ssl.OP_NO_TICKET
                context.num_tickets = 0
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            names = ", ".join(str(file) for file in self._files)
            raise CertificateInvalid(f"{names}: {error}") from error
        self.ends = ends.timestamp()
        return context

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        """Mounted Secrets are symbolic links that are switched together; what they point to has changed."""
        return tuple(_stamp(file) for file in self._files)


def unverified() -> ssl.SSLContext:
    """For a replica that asks itself: it needs nobody to tell it who that is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def shown(address: str, port: int) -> bytes:
    """The certificate that is served there, as DER. Raises OSError, where there is no handshake."""
    _, writer = await asyncio.open_connection(address, port, ssl=unverified())
    try:
        found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return found or b""
    finally:
        writer.transport.abort()


def fault(certificate: bytes, now: datetime) -> str | None:
    """Why a client would not take this certificate (DER), whoever signed it; None where nothing is wrong."""
    try:
        read = x509.load_der_x509_certificate(certificate)
    except ValueError:
        return "cannot be read"
    if read.not_valid_before_utc > now:
        return f"is good only from {read.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on"
    if read.not_valid_after_utc <= now:
        return f"ended on {read.not_valid_after_utc:%Y-%m-%d at %H:%M} UTC"
    return None


def _is_for_clients(certificate: bytes) -> bool:
    """From the certificate's DER."""
    try:
        extensions = x509.load_der_x509_certificate(certificate).extensions
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in purposes


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
