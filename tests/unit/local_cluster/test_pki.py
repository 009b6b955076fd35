"""Keys and certificates: who is trusted by whom, as what, and under which names."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from local_cluster import pki
from local_cluster.layout import Layout

LAYOUT = Layout("one")


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return pki.all_files(LAYOUT)


def certificate(files: dict[str, bytes], name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(files[f"{name}.crt"])


def server_of(files: dict[str, bytes], authority: str, name: str, host: str) -> None:
    """Raises VerificationError unless a client that trusts the authority takes it for the host."""
    subject: x509.DNSName | x509.IPAddress
    try:
        subject = x509.IPAddress(IPv4Address(host))
    except ValueError:
        subject = x509.DNSName(host)
    store = Store([certificate(files, authority)])
    PolicyBuilder().store(store).build_server_verifier(subject).verify(certificate(files, name), [])


@pytest.mark.parametrize("host", ["127.0.0.1", "10.89.0.1", "10.96.0.1", "kubernetes.default.svc"])
def test_the_api_server_is_trusted_wherever_it_is_reached(files: dict[str, bytes], host: str) -> None:
    """Through the relay, from the nodes, and from pods by its Service."""
    server_of(files, "ca", "apiserver", host)


def test_a_kubelet_is_trusted_as_its_own_node_alone(files: dict[str, bytes]) -> None:
    """By its address; not by another node's."""
    server_of(files, "ca", "kubelet-zone-a", "10.89.0.11")
    with pytest.raises(VerificationError):
        server_of(files, "ca", "kubelet-zone-a", "10.89.0.12")


def test_etcd_trusts_no_client_of_the_api(files: dict[str, bytes]) -> None:
    """It has an authority of its own."""
    server_of(files, "etcd-ca", "etcd", "127.0.0.1")
    for name in ("admin", "apiserver", "kubelet-zone-a"):
        with pytest.raises(ValueError, match=r"[Ii]ssuer"):
            certificate(files, name).verify_directly_issued_by(certificate(files, "etcd-ca"))


def test_only_the_administrator_is_in_the_masters_group(files: dict[str, bytes]) -> None:
    """And only nodes are in the nodes'."""
    groups = {
        name.removesuffix(".crt"): [
            str(each.value)
            for each in certificate(files, name.removesuffix(".crt")).subject.get_attributes_for_oid(
                NameOID.ORGANIZATION_NAME
            )
        ]
        for name in files
        if name.endswith(".crt")
    }

    assert {name for name, group in groups.items() if group == ["system:masters"]} == {"admin"}
    assert {name for name, group in groups.items() if group == ["system:nodes"]} == {
        f"kubelet-{node.zone}" for node in LAYOUT.nodes
    }


def test_a_client_is_no_server_and_no_authority(files: dict[str, bytes]) -> None:
    """Its key can neither serve nor sign."""
    extensions = certificate(files, "admin").extensions
    usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value

    assert ExtendedKeyUsageOID.SERVER_AUTH not in usages
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_keys_are_of_p256(files: dict[str, bytes]) -> None:
    """All of them: RSA would cost seconds at the first start."""
    for name, content in files.items():
        if name.endswith(".key"):
            key = serialization.load_pem_private_key(content, None)
            assert isinstance(key, ec.EllipticCurvePrivateKey)
            assert key.curve.name == "secp256r1"


def test_the_set_is_made_once_and_never_seen_in_part(tmp_path: Path) -> None:
    """What a killed `up` left of one is made anew; one that is whole stays."""
    layout = Layout("one", root=tmp_path)
    (layout.state / "pki.making").mkdir(parents=True)
    (layout.state / "pki.making" / "ca.crt").write_text("half")

    first = pki.ensure(layout)
    second = pki.ensure(layout)

    assert first == second
    assert [path.name for path in layout.state.iterdir()] == ["pki"]
    assert {oct(file.stat().st_mode & 0o777) for file in layout.pki.iterdir()} == {"0o600"}
