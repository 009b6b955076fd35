"""Certificates: a CA of each Registry's own, leaves that are renewed in time, and a look at the user's.

Everything is kept while it is good, so that rendering again gives the same bytes: only what is missing,
wrong or due is made. Keys are EC P-256; a CA lives ten years, a leaf 90 days, both are renewed at two
thirds of their life. A new CA stands in the bundle for a notice before it signs, and the old one for as long
after that: a client that reads the bundle now and then never meets a certificate that it does not trust.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=90)
BACKDATED = timedelta(minutes=5)  # clocks of clients differ
NOTICE = timedelta(days=7)
SECOND = timedelta(seconds=1)

PrivateKey = ec.EllipticCurvePrivateKey


class Usage(Enum):
    """What a leaf is for; a server's certificate never passes as a client's."""

    SERVER = ExtendedKeyUsageOID.SERVER_AUTH
    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Renewal:
    """When one CA follows another: when it is due, and when `generation` is another than the CA's.

    Where clients do not get the bundle, another CA would be `unseen`: it is due as late as it may be.
    """

    generation: int | None = None  # None asks for no other one
    notice: timedelta | None = None  # in the bundle before it signs, and after it signed; None: as before
    unseen: bool = False


@dataclass(frozen=True)
class Issuer:
    """A CA's certificate and its key."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)

    @classmethod
    def make(cls, name: str, now: datetime) -> Self:
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(_self_signed(key, name, now), key)

    @property
    def made(self) -> datetime:
        return self.certificate.not_valid_before_utc + BACKDATED


@dataclass(frozen=True)
class Authority:
    """A CA: the one that signs, the one that will, and those that did and are trusted still."""

    signs: Issuer
    follows: Issuer | None = None
    before: tuple[x509.Certificate, ...] = ()
    generation: int = 1
    turns: datetime | None = None  # when it is another, if nothing is asked
    notice: timedelta = NOTICE

    @classmethod
    def ensure(
        cls, kept: Mapping[str, bytes] | None, name: str, now: datetime, renewal: Renewal | None = None
    ) -> Self:
        """What the values of its Secret say, after the step that is due. Without a usable CA a new one."""
        kept, renewal = kept or {}, renewal or Renewal()
        signs, follows = _issuer(kept, "ca"), _issuer(kept, "next")
        generation = _number(kept.get("generation"), 1)
        wanted = generation if renewal.generation is None else renewal.generation
        notice = renewal.notice or timedelta(seconds=_number(kept.get("notice"), NOTICE // SECOND))
        if signs is None or not _valid(signs.certificate, now):
            signs, follows, generation = Issuer.make(name, now), None, wanted
        due = _ending(signs.certificate, now) if renewal.unseen else _due(signs.certificate, now)
        if follows is None and (due or generation != wanted):
            follows, generation = Issuer.make(name, now), wanted
        if follows is not None and now >= follows.made + notice:
            signs, follows = follows, None
        ends = signs.made + 2 * notice
        named = {one.certificate for one in (signs, follows) if one}
        before = tuple(one for one in _alive(kept, now) if one not in named) if now < ends else ()
        turns = follows.made + notice if follows else ends if before else None
        return cls(signs, follows, before, generation, turns, notice)

    @property
    def bundle(self) -> bytes:
        """In PEM, the one that signs first."""
        follows = (self.follows.certificate,) if self.follows else ()
        return b"".join(_pem(one) for one in (self.signs.certificate, *follows, *self.before))

    def signed(self, values: Mapping[str, bytes]) -> bool:
        """Whether the certificate in the values of a Secret is of this CA, or of one before it."""
        found = _pair(values, "tls.crt", "tls.key")
        return found is not None and any(
            _is_issued_by(found[0], one) for one in x509.load_pem_x509_certificates(self.bundle)
        )

    @property
    def secret(self) -> dict[str, bytes]:
        values = {"ca.crt": self.bundle, "ca.key": _key_pem(self.signs.key)}
        values["generation"] = str(self.generation).encode()
        if self.turns:  # a change ends as it began, whatever the spec says no more
            values["notice"] = str(self.notice // SECOND).encode()
        if self.follows:
            values["next.crt"] = _pem(self.follows.certificate)
            values["next.key"] = _key_pem(self.follows.key)
        return values

    def leaf(
        self, kept: Mapping[str, bytes] | None, names: tuple[str, ...], usage: Usage, now: datetime
    ) -> dict[str, bytes]:
        """`tls.crt`, `tls.key` and `ca.crt` for these DNS names: those in `kept` while they are good."""
        found = _pair(kept, "tls.crt", "tls.key")
        if not found or not self._good(found[0], names, usage, now):
            key = ec.generate_private_key(ec.SECP256R1())
            found = self._sign(key.public_key(), names, usage, now), key
        return {"tls.crt": _pem(found[0]), "tls.key": _key_pem(found[1]), "ca.crt": self.bundle}

    def _good(self, leaf: x509.Certificate, names: tuple[str, ...], usage: Usage, now: datetime) -> bool:
        try:
            leaf.verify_directly_issued_by(self.signs.certificate)
            usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False
        return set(_dns_names(leaf)) == set(names) and list(usages) == [usage.value] and not _due(leaf, now)

    def _sign(
        self, key: ec.EllipticCurvePublicKey, names: tuple[str, ...], usage: Usage, now: datetime
    ) -> x509.Certificate:
        issuer = self.signs.certificate
        authority_key = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return (
            _builder("roadstead", now, min(now + LEAF_LIFE, issuer.not_valid_after_utc))
            .issuer_name(issuer.subject)
            .public_key(key)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage.value]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_key), critical=False
            )
            .sign(self.signs.key, hashes.SHA256())
        )


def signing_key(kept: bytes | None) -> bytes:
    """A private key in PEM that signs bearer tokens: `kept` while it is one."""
    try:
        key = serialization.load_pem_private_key(kept or b"", password=None)
    except (ValueError, TypeError):
        key = None
    if isinstance(key, PrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return _key_pem(key)
    return _key_pem(ec.generate_private_key(ec.SECP256R1()))


@dataclass(frozen=True)
class Certificate:
    """What a server's certificate says."""

    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime

    @classmethod
    def read(cls, values: Mapping[str, bytes]) -> Self:
        """Of `tls.crt`. Raises ValueError where it, or the key in `tls.key`, is not usable."""
        try:
            leaf = x509.load_pem_x509_certificates(values["tls.crt"])[0]
            key = serialization.load_pem_private_key(values["tls.key"], password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ValueError("tls.crt and tls.key must be PEM without a password") from error
        if _public(key.public_key()) != _public(leaf.public_key()):
            raise ValueError("tls.key is not the key of tls.crt")
        return cls(_dns_names(leaf), leaf.not_valid_before_utc, leaf.not_valid_after_utc)

    def covers(self, host: str) -> bool:
        """Whether a client that asks for this host accepts it: a wildcard is one label (RFC 6125 §6.4.3)."""
        parent = host.partition(".")[2]
        return host in self.names or f"*.{parent}" in self.names


def _pair(
    values: Mapping[str, bytes] | None, certificate: str, private_key: str
) -> tuple[x509.Certificate, PrivateKey] | None:
    """The first certificate and its key, where both are there and belong together."""
    try:
        leaf = x509.load_pem_x509_certificates((values or {})[certificate])[0]
        key = serialization.load_pem_private_key((values or {})[private_key], password=None)
    except (KeyError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if not isinstance(key, PrivateKey) or _public(key.public_key()) != _public(leaf.public_key()):
        return None
    return leaf, key


def _issuer(values: Mapping[str, bytes], name: str) -> Issuer | None:
    found = _pair(values, f"{name}.crt", f"{name}.key")
    return Issuer(*found) if found else None


def _number(value: bytes | None, default: int) -> int:
    """Of a Secret that was written before there were such numbers, too."""
    return int(value) if value and value.isdigit() else default


def _valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc


def _is_issued_by(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _due(certificate: x509.Certificate, now: datetime) -> bool:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return not begin <= now < begin + (end - begin) * 2 / 3


def _ending(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether it cannot sign a leaf for the whole of its life any more."""
    return now >= certificate.not_valid_after_utc - LEAF_LIFE


def _alive(kept: Mapping[str, bytes], now: datetime) -> list[x509.Certificate]:
    """CA certificates of the bundle that have not ended."""
    try:
        certificates = x509.load_pem_x509_certificates(kept["ca.crt"])
    except (KeyError, ValueError):
        return []
    return [certificate for certificate in certificates if certificate.not_valid_after_utc > now]


def _self_signed(key: PrivateKey, name: str, now: datetime) -> x509.Certificate:
    builder = _builder(name, now, now + CA_LIFE)
    return (
        builder.issuer_name(_subject(name))
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _builder(name: str, now: datetime, end: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(end)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])  # X.520 bounds it


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.DNSName))


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
