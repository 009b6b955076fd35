"""Certificates are kept while they are good, and made when they are not."""

from __future__ import annotations

import ssl
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from registry_operator.tls import (
    CA_LIFE,
    LEAF_LIFE,
    NOTICE,
    Authority,
    Certificate,
    Renewal,
    Usage,
    signing_key,
)

from tests.unit.operator.harbour import NOW

NAME = "Roadstead harbour/harbour"
HOSTS = ("harbour.test", "private.harbour.test")
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.ensure(None, NAME, NOW)


def test_a_good_ca_is_kept_to_the_byte(authority: Authority) -> None:
    """A restart renders the same Secret."""
    again = Authority.ensure(authority.secret, NAME, NOW + timedelta(days=900))
    assert again.secret == authority.secret


def test_a_ca_is_announced_before_it_signs_and_the_old_one_leaves_after(authority: Authority) -> None:
    """At two thirds of its life: for a notice clients trust both, and so again when the new one signs."""
    notice, due = NOTICE, NOW + CA_LIFE * 2 / 3
    assert Authority.ensure(authority.secret, NAME, due - timedelta(days=1)).secret == authority.secret
    told = Authority.ensure(authority.secret, NAME, due)
    assert told.follows
    old, new = authority.signs.certificate, told.follows.certificate
    assert told.signs.certificate == old
    assert trusted(told) == [old, new]
    assert told.turns == due + notice
    assert Authority.ensure(told.secret, NAME, due + notice - SECOND).secret == told.secret

    turned = Authority.ensure(told.secret, NAME, due + notice)
    assert turned.signs.certificate == new
    assert trusted(turned) == [new, old]
    assert turned.turns == due + 2 * notice
    assert "next.key" not in turned.secret
    assert Authority.ensure(turned.secret, NAME, due + 2 * notice - SECOND).secret == turned.secret

    done = Authority.ensure(turned.secret, NAME, due + 2 * notice)
    assert trusted(done) == [new]
    assert done.turns is None
    assert Authority.ensure(done.secret, NAME, due + 3 * notice).secret == done.secret


def test_another_generation_has_another_ca_once(authority: Authority) -> None:
    """Asked for in the spec: one new CA; what is asked meanwhile waits until it signs."""
    asked = Renewal(2, timedelta(minutes=1))
    told = Authority.ensure(authority.secret, NAME, NOW, asked)
    assert len(trusted(told)) == 2
    assert Authority.ensure(told.secret, NAME, NOW, replace(asked, generation=3)).secret == told.secret
    done = Authority.ensure(told.secret, NAME, NOW + timedelta(minutes=2), asked)
    assert trusted(done) == [told.follows.certificate] if told.follows else False
    assert Authority.ensure(done.secret, NAME, NOW + timedelta(days=1), asked).secret == done.secret


def test_a_change_that_was_asked_for_ends_with_its_own_notice(authority: Authority) -> None:
    """Where the spec does not speak of the CA any more, too: those who were told trust both."""
    notice, gone = timedelta(days=30), Renewal(unseen=True)
    told = Authority.ensure(authority.secret, NAME, NOW, Renewal(2, notice))
    assert told.follows
    assert Authority.ensure(told.secret, NAME, NOW + notice - SECOND, gone).secret == told.secret
    turned = Authority.ensure(told.secret, NAME, NOW + notice, gone)
    assert trusted(turned) == [told.follows.certificate, authority.signs.certificate]
    done = Authority.ensure(turned.secret, NAME, NOW + 2 * notice, gone)
    assert trusted(done) == [told.follows.certificate]
    assert Authority.ensure(done.secret, NAME, NOW + 3 * notice, Renewal(2, notice)).secret == done.secret


def test_a_ca_that_nobody_would_be_told_of_comes_as_late_as_it_may(authority: Authority) -> None:
    """Who trusts the present one is served by it again, as long as it can sign a leaf for its whole life."""
    gone, last = Renewal(unseen=True), authority.signs.certificate.not_valid_after_utc - LEAF_LIFE
    assert Authority.ensure(authority.secret, NAME, last - SECOND, gone).secret == authority.secret
    assert Authority.ensure(authority.secret, NAME, last, gone).follows
    assert Authority.ensure(authority.secret, NAME, last - SECOND, Renewal()).follows


def test_a_ca_that_is_not_usable_is_replaced_at_once(authority: Authority) -> None:
    """Nobody can be told before: its key is lost, or it has ended."""
    lost = {**authority.secret, "ca.key": b"x"}
    made = Authority.ensure(lost, NAME, NOW)
    assert made.follows is None
    assert trusted(made) == [made.signs.certificate, authority.signs.certificate]
    ended = Authority.ensure(authority.secret, NAME, NOW + CA_LIFE)
    assert trusted(ended) == [ended.signs.certificate]


def trusted(authority: Authority) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(authority.bundle)


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
    ca = Authority.ensure(None, NAME, now)
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
