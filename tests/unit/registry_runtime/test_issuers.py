"""What issuers say of themselves, on real sockets with real certificates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_runtime.contract.subject import OidcProvider
from registry_runtime.issuers import published
from tests.certificates import Authority
from tests.issuer import Issuer, issuer

DISCOVERY = "/.well-known/openid-configuration"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def one(authority: Authority, tmp_path: Path) -> Iterator[Issuer]:
    with issuer(authority.issue(tmp_path / "tls", "127.0.0.1")) as running:
        yield running


def provider(one: Issuer, authority: Authority, url: str | None = None) -> OidcProvider:
    return OidcProvider(issuer=url or one.url, audience="a", ca=authority.file.read_text())


async def test_an_issuer_is_asked_where_its_keys_are(one: Issuer, authority: Authority) -> None:
    """Its own words first, then its keys; nothing else is asked for."""
    found = await published(provider(one, authority))
    assert found.issuer == one.url
    assert found.keys.find("the-one")
    assert one.asked == [DISCOVERY, "/keys"]


async def test_an_issuer_below_a_path(one: Issuer, authority: Authority) -> None:
    """A slash at the end of its name belongs to the name, and not to the place (OpenID Discovery §4.1)."""
    for name in ("/realms/shop", "/realms/shop/"):
        document = {"issuer": one.url + name, "jwks_uri": f"{one.url}/keys"}
        one.documents[f"/realms/shop{DISCOVERY}"] = json.dumps(document)
        assert (await published(provider(one, authority, one.url + name))).issuer == one.url + name


async def test_an_issuer_is_whom_a_certificate_names(
    one: Issuer, authority: Authority, tmp_path: Path
) -> None:
    """By the CA that the policy names, and by none that anybody else trusts."""
    other = Authority(tmp_path / "other")
    for trusted in (other.file.read_text(), None):
        with pytest.raises(OSError, match="Certificate"):
            await published(OidcProvider(issuer=one.url, audience="a", ca=trusted))
    with pytest.raises(OSError, match=r"SSL|PEM|cadata"):
        await published(OidcProvider(issuer=one.url, audience="a", ca="-----BEGIN CERTIFICATE-----"))
    with pytest.raises(ValueError, match="not https"):
        await published(provider(one, authority, one.url.replace("https", "http")))
    assert one.asked == []


async def test_an_issuer_names_itself_as_the_policy_does(one: Issuer, authority: Authority) -> None:
    """To the letter: or a path of one issuer could speak for another."""
    for name in (f"{one.url}/", one.url.upper(), "https://other.example", None):
        one.documents[DISCOVERY] = json.dumps({"issuer": name, "jwks_uri": f"{one.url}/keys"})
        with pytest.raises(ValueError, match="otherwise"):
            await published(provider(one, authority))
    assert "/keys" not in one.asked


async def test_nobody_is_sent_elsewhere(one: Issuer, authority: Authority) -> None:
    """Not by a redirect, not to keys without TLS, not to a file."""
    for place in ("http://127.0.0.1:1/keys", "file:///etc/passwd", "", None, 7, ["https://a"]):
        one.documents[DISCOVERY] = json.dumps({"issuer": one.url, "jwks_uri": place})
        with pytest.raises(ValueError, match="not https"):
            await published(provider(one, authority))
    del one.documents[DISCOVERY]
    one.documents["/keys"] = 302
    with pytest.raises(ValueError, match="HTTP 302"):
        await published(provider(one, authority))
    one.documents[DISCOVERY] = 307
    with pytest.raises(ValueError, match="HTTP 307"):
        await published(provider(one, authority))
    assert "/elsewhere" not in one.asked


@pytest.mark.parametrize(
    "document", ["", "[", "[]", "7", "[" * 100_000, json.dumps({"keys": ["x" * 600_000]}), '{"keys": []}']
)
async def test_an_answer_has_bounds(one: Issuer, authority: Authority, document: str) -> None:
    """Of its size, its depth and its form: anything else is no answer."""
    one.documents["/keys"] = document or " "
    with pytest.raises(ValueError, match=r"\w"):
        await published(provider(one, authority))


async def test_an_issuer_that_is_not_there(authority: Authority) -> None:
    """Nobody listens, or what answers is another."""
    gone = OidcProvider(issuer="https://127.0.0.1:1", audience="a", ca=authority.file.read_text())
    with pytest.raises(OSError, match="127"):
        await published(gone)
