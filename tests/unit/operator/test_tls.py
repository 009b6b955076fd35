"""Certificates are kept while they are good, and made when they are not."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from registry_operator.tls import CA_LIFE, LEAF_LIFE, Authority, Certificate, Usage, signing_key

from tests.unit.operator.harbour import NOW

HOSTS = ("harbour.test", "private.harbour.test")
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.ensure(None, "Roadstead harbour/harbour", NOW)


def test_a_good_ca_is_kept_to_the_byte(authority: Authority) -> None:
    """A restart renders the same Secret."""
    again = Authority.ensure(authority.secret, "Roadstead harbour/harbour", NOW + timedelta(days=900))
    assert again.secret == authority.secret


def test_a_ca_is_renewed_at_two_thirds_of_its_life_and_stays_trusted(authority: Authority) -> None:
    """Clients that read the bundle trust both, so leaves of the old one go on to be accepted."""
    later = NOW + CA_LIFE * 2 / 3
    renewed = Authority.ensure(authority.secret, "Roadstead harbour/harbour", later)
    assert renewed.certificate != authority.certificate
    assert x509.load_pem_x509_certificates(renewed.bundle) == [renewed.certificate, authority.certificate]
    after = Authority.ensure(renewed.secret, "Roadstead harbour/harbour", later + SECOND)
    assert after.secret == renewed.secret
    last = Authority.ensure(renewed.secret, "Roadstead harbour/harbour", later + CA_LIFE * 2 / 3)
    assert len(x509.load_pem_x509_certificates(last.bundle)) == 2, "what has ended leaves the bundle"


def test_a_leaf_is_kept_while_it_is_good(authority: Authority) -> None:
    """The same bytes until two thirds of its life, another certificate after it."""
    leaf = authority.leaf(None, HOSTS, Usage.SERVER, NOW)
    due = NOW + LEAF_LIFE * 2 / 3
    assert authority.leaf(leaf, HOSTS, Usage.SERVER, due - timedelta(minutes=5)) == leaf
    assert authority.leaf(leaf, HOSTS, Usage.SERVER, due)["tls.crt"] != leaf["tls.crt"]


def test_what_is_wrong_is_made_anew(authority: Authority) -> None:
    """Other names, another use, another CA, a key that does not fit, garbage: never served."""
    leaf = authority.leaf(None, HOSTS, Usage.SERVER, NOW)
    other = Authority.ensure(None, "other", NOW)
    swapped = {**leaf, "tls.key": authority.leaf(None, HOSTS, Usage.SERVER, NOW)["tls.key"]}
    assert authority.leaf(leaf, (*HOSTS, "third.test"), Usage.SERVER, NOW)["tls.crt"] != leaf["tls.crt"]
    assert authority.leaf(leaf, HOSTS[:1], Usage.SERVER, NOW)["tls.crt"] != leaf["tls.crt"]
    assert authority.leaf(leaf, HOSTS, Usage.CLIENT, NOW)["tls.crt"] != leaf["tls.crt"]
    assert other.leaf(leaf, HOSTS, Usage.SERVER, NOW)["tls.crt"] != leaf["tls.crt"]
    assert authority.leaf(swapped, HOSTS, Usage.SERVER, NOW)["tls.crt"] != leaf["tls.crt"]
    for broken in ({}, {"tls.crt": b"x", "tls.key": b"y"}, {"tls.crt": leaf["tls.crt"]}):
        assert Certificate.read(authority.leaf(broken, HOSTS, Usage.SERVER, NOW)).names == HOSTS


def test_the_bundle_follows_the_ca_without_a_new_leaf(authority: Authority) -> None:
    """Somebody who edits ca.crt in the Secret changes nothing for long."""
    leaf = authority.leaf(None, HOSTS, Usage.SERVER, NOW)
    assert authority.leaf({**leaf, "ca.crt": b"x"}, HOSTS, Usage.SERVER, NOW) == leaf


def test_server_and_client_speak_with_each_other(tmp_path: Path) -> None:
    """OpenSSL itself accepts the pair for mutual TLS, and refuses a server's certificate from a client."""
    from datetime import UTC, datetime  # noqa: PLC0415 - OpenSSL knows no other clock than the wall's

    now = datetime.now(UTC)
    ca = Authority.ensure(None, "Roadstead harbour/harbour", now)
    server = context(ca, ca.leaf(None, ("state.test",), Usage.SERVER, now), tmp_path / "server", server=True)
    client = context(ca, ca.leaf(None, ("operator",), Usage.CLIENT, now), tmp_path / "client", server=False)
    assert handshake(server, client) == "TLSv1.3"
    with pytest.raises(ssl.SSLError, match=r"(?i)unsuitable|certificate"):
        handshake(
            server,
            context(ca, ca.leaf(None, ("x",), Usage.SERVER, now), tmp_path / "wrong", server=False),
        )


def context(ca: Authority, pair: dict[str, bytes], folder: Path, *, server: bool) -> ssl.SSLContext:
    folder.mkdir()
    (folder / "pair.pem").write_bytes(pair["tls.crt"] + pair["tls.key"])
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.load_cert_chain(folder / "pair.pem")
    made.load_verify_locations(cadata=ca.bundle.decode())
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> str | None:
    """Both ends in memory. The version; raises SSLError where one end refuses."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="state.test"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends[1].version()


def test_a_certificate_of_the_user_is_read(authority: Authority) -> None:
    """Names with their wildcards, validity; what does not fit together is said without its content."""
    pair = authority.leaf(None, ("harbour.test", "*.harbour.test"), Usage.SERVER, NOW)
    found = Certificate.read(pair)
    assert found.covers("harbour.test")
    assert found.covers("private.harbour.test")
    assert not found.covers("a.private.harbour.test")
    assert not found.covers("test")
    other = authority.leaf(None, HOSTS, Usage.SERVER, NOW)
    with pytest.raises(ValueError, match=r"tls\.key is not the key of tls\.crt"):
        Certificate.read({**pair, "tls.key": other["tls.key"]})
    with pytest.raises(ValueError, match="must be PEM"):
        Certificate.read({"tls.crt": b"", "tls.key": b"secret"})


def test_the_signing_key_is_kept_unless_it_is_none() -> None:
    """Bearer tokens survive a restart of the operator."""
    key = signing_key(None)
    assert signing_key(key) == key
    assert signing_key(b"garbage") not in (key, b"garbage")
