"""Every key and certificate of a cluster (https://kubernetes.io/docs/setup/best-practices/certificates/).

ECDSA P-256 throughout: the whole set takes a tenth of a second. Three authorities, because each is trusted
for something else: clients and servers of the API, members and clients of etcd, and the API server when it
speaks for a user to an aggregated API.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local_cluster.layout import API_SERVICE_ADDRESS, CONTROL_PLANE_ADDRESS, DNS_DOMAIN, Layout

LIFETIME = timedelta(days=3650)
BACKDATED = timedelta(minutes=5)  # for a clock that is set back a little
LOOPBACK = "127.0.0.1"
API_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    f"kubernetes.default.svc.{DNS_DOMAIN}",
)
DNS_USER = "local-cluster:dns"
ENFORCER_USER = "local-cluster:enforcer"
# File → (common name, organisation). What each may do is said by its organisation, or by rbac.py.
API_CLIENTS = {
    "admin": ("local-cluster:admin", "system:masters"),
    "apiserver-kubelet-client": ("local-cluster:apiserver", ""),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "dns": (DNS_USER, ""),
    "enforcer": (ENFORCER_USER, ""),
}


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def files(self, name: str) -> dict[str, bytes]:
        return {
            f"{name}.crt": self.certificate.public_bytes(serialization.Encoding.PEM),
            f"{name}.key": pem(self.key),
        }


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def pem_public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def authority(name: str) -> Pair:
    """A certificate authority that can issue, but not make further authorities."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = unsigned(name, "", key, issuer=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage(signs=True), critical=True)
    return Pair(builder.sign(key, hashes.SHA256()), key)


def issue(
    ca: Pair, name: str, organisation: str = "", *, names: Iterable[str] = (), addresses: Iterable[str] = ()
) -> Pair:
    """A certificate for a client, and for a server too where it has host `names` or `addresses`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subjects: list[x509.GeneralName] = [x509.DNSName(each) for each in names]
    subjects += [x509.IPAddress(IPv4Address(each)) for each in addresses]
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if subjects else [])]
    builder = (
        unsigned(name, organisation, key, issuer=ca.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False
        )
    )
    if subjects:
        builder = builder.add_extension(x509.SubjectAlternativeName(subjects), critical=False)
    return Pair(builder.sign(ca.key, hashes.SHA256()), key)


def unsigned(
    name: str, organisation: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name
) -> x509.CertificateBuilder:
    words = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    words += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)] if organisation else []
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name(words))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def usage(*, signs: bool) -> x509.KeyUsage:
    """Of an authority, which signs certificates, or of anyone else (RFC 5280 §4.2.1.3)."""
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def all_files(layout: Layout) -> dict[str, bytes]:
    """File name → PEM, freshly made."""
    ca, etcd, front_proxy = (
        authority(f"local-cluster-{each}") for each in ("ca", "etcd-ca", "front-proxy-ca")
    )
    accounts = ec.generate_private_key(ec.SECP256R1())
    files = {
        **ca.files("ca"),
        **etcd.files("etcd-ca"),
        **front_proxy.files("front-proxy-ca"),
        "service-account.key": pem(accounts),
        "service-account.pub": pem_public(accounts),
        **issue(etcd, "etcd", names=["localhost"], addresses=[LOOPBACK]).files("etcd"),
        **issue(etcd, "kube-apiserver").files("apiserver-etcd-client"),
        **issue(front_proxy, "front-proxy-client").files("front-proxy-client"),
    }
    addresses = [API_SERVICE_ADDRESS, CONTROL_PLANE_ADDRESS, LOOPBACK]
    files |= issue(ca, "kube-apiserver", names=API_NAMES, addresses=addresses).files("apiserver")
    for file, (user, group) in API_CLIENTS.items():
        files |= issue(ca, user, group).files(file)
    for node in layout.nodes:
        pair = issue(
            ca, f"system:node:{node.name}", "system:nodes", names=[node.name], addresses=[node.address]
        )
        files |= pair.files(f"kubelet-{node.zone}")
    return files


def ensure(layout: Layout) -> dict[str, bytes]:
    """File name → PEM of the cluster's set, made if there is none: the directory appears whole or not."""
    if not layout.pki.exists():
        making = layout.pki.with_name("pki.making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700, parents=True)
        for name, content in all_files(layout).items():
            (making / name).touch(mode=0o600)
            (making / name).write_bytes(content)
        making.rename(layout.pki)
    return {file.name: file.read_bytes() for file in layout.pki.iterdir()}
