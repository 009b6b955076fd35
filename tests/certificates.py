"""A certificate authority for tests: real certificates, made in memory."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = timedelta(days=1)


class Authority:
    """Signs what a test needs; `file` holds its own certificate, to be trusted."""

    def __init__(self, directory: Path, name: str = "tests") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        unsigned = _builder(self._name, self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self._certificate = unsigned.sign(self._key, hashes.SHA256())
        self.file = directory / "ca.crt"
        self.file.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    @property
    def pair(self) -> dict[str, str]:
        """Its own certificate and key, as the values of a Secret of kubernetes.io/tls."""
        return {"tls.crt": self.file.read_text(), "tls.key": _private(self._key).decode()}

    def issue(
        self,
        directory: Path,
        *names: str,
        client: bool = False,
        purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.SERVER_AUTH,
        life: timedelta = _DAY,
    ) -> Path:
        """tls.crt, tls.key and ca.crt in the directory, as a Secret of kubernetes.io/tls is mounted.

        Without a `purpose` it has no extended key usage at all; `client` makes that a client's.
        """
        directory.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        alternatives = [_alternative(name) for name in names]
        unsigned = _builder(subject, self._name, key.public_key(), life).add_extension(
            x509.SubjectAlternativeName(alternatives), critical=False
        )
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else purpose
        if purpose is not None:
            unsigned = unsigned.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        signed = unsigned.sign(self._key, hashes.SHA256())
        (directory / "tls.key").write_bytes(_private(key))
        (directory / "tls.crt").write_bytes(signed.public_bytes(Encoding.PEM))
        (directory / "ca.crt").write_bytes(self.file.read_bytes())
        return directory


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta = _DAY
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + life)
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
