"""Bearer tokens, and the ways in which JWTs are usually broken."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from registry_runtime.auth.scope import Scopes
from registry_runtime.auth.tokens import BearerInvalid, Bearers, Claims
from registry_runtime.contract.policy import Action

CLAIMS = Claims("0123456789abcdef", 1000, 1300, Scopes({"team/app": frozenset({Action.PULL})}, catalog=True))


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def pem(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def test_what_is_signed_is_read_back() -> None:
    """The claims survive, and expiry is for the caller to judge."""
    bearers = Bearers.generate("ns/reg")
    assert bearers.verify(bearers.sign(CLAIMS)) == CLAIMS


def test_replicas_share_a_key() -> None:
    """A token of one replica is good at another that was given the same PEM."""
    key = pem(ec.generate_private_key(ec.SECP256R1()))
    assert Bearers.load("ns/reg", key).verify(Bearers.load("ns/reg", key).sign(CLAIMS)) == CLAIMS


def test_a_token_for_another_registry_is_refused() -> None:
    """Issuer and audience are checked, even where two registries share a key."""
    key = pem(ec.generate_private_key(ec.SECP256R1()))
    text = Bearers.load("ns/other", key).sign(CLAIMS)
    with pytest.raises(BearerInvalid):
        Bearers.load("ns/reg", key).verify(text)


def test_algorithms_cannot_be_confused() -> None:
    """`none`, and HMAC with the public key as its secret, are refused like any other header."""
    key = ec.generate_private_key(ec.SECP256R1())
    bearers = Bearers.load("ns/reg", pem(key))
    _, body, signature = bearers.sign(CLAIMS).split(".")
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    symmetric = f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{body}"
    digest = hmac.new(public, symmetric.encode(), hashlib.sha256).digest()
    forged = f"{symmetric}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
    for text in [
        forged,
        f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        f"{encoded({'alg': 'none'})}.{body}.{signature}",
        f"{encoded({'alg': 'ES256', 'typ': 'JWT', 'jwk': {}})}.{body}.{signature}",
    ]:
        with pytest.raises(BearerInvalid):
            bearers.verify(text)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_no_part_can_be_changed(part: int) -> None:
    """One letter of header, body or signature, and the token is worth nothing."""
    bearers = Bearers.generate("ns/reg")
    parts = bearers.sign(CLAIMS).split(".")
    letter = parts[part][5]
    parts[part] = parts[part][:5] + ("A" if letter != "A" else "B") + parts[part][6:]
    with pytest.raises(BearerInvalid):
        bearers.verify(".".join(parts))


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "a.b.c.d", "é.é.é", "\x00", "x" * 40_000, "...", "a..b"]
)
def test_garbage_is_refused(text: str) -> None:
    """Nothing that a client may send raises anything else."""
    bearers = Bearers.generate("ns/reg")
    header = bearers.sign(CLAIMS).split(".")[0]
    for wrong in (text, f"{header}.{text}", f"{header}.{text}.{text}"):
        with pytest.raises(BearerInvalid):
            bearers.verify(wrong)


def signed_at(bearers: Bearers, second: int) -> str:
    return bearers.sign(replace(CLAIMS, issued=second, expires=second + 300))


def header(text: str) -> str:
    return text.partition(".")[0]


def test_a_key_made_anew_splits_no_replicas() -> None:
    """It is good at once, signs when all have it; the old one is good until its last bearer ends."""
    old, new = (pem(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
    running, started_later = Bearers.load("ns/reg", old, 360), Bearers.load("ns/reg", new, 360)
    before = signed_at(running, 1000)

    assert running.learn(new, 1000)
    assert running.verify(signed_at(started_later, 1000)).issued == 1000
    assert header(signed_at(running, 1119)) == header(before)
    assert header(signed_at(running, 1120)) == header(signed_at(started_later, 0))
    running.forget(1120 + 359)
    assert running.verify(signed_at(running, 1119)).issued == 1119

    running.forget(1120 + 360)
    with pytest.raises(BearerInvalid):
        running.verify(before)
    assert running.verify(signed_at(running, 1480)).issued == 1480


def test_a_key_comes_back() -> None:
    """The same file again changes nothing, and an old key that is put back signs again."""
    old, new = (pem(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
    bearers = Bearers.load("ns/reg", old, 360)
    assert not bearers.learn(old, 1000)
    assert bearers.learn(new, 1000)
    assert bearers.learn(old, 1060)
    bearers.forget(10_000)
    assert len(bearers.known) == 1
    assert header(signed_at(bearers, 10_000)) == header(signed_at(Bearers.load("ns/reg", old), 0))


def test_a_key_that_cannot_be_used_is_not_learned() -> None:
    """Half a file, and all stays as it was."""
    bearers = Bearers.generate("ns/reg")
    before = bearers.known
    with pytest.raises(ValueError, match="signing key"):
        bearers.learn(b"-----BEGIN PRIV", 1000)
    assert bearers.known == before


def test_only_a_p256_key_signs() -> None:
    """RSA keys, other curves and rubbish are refused with a sentence at the start."""
    for wrong in (
        pem(rsa.generate_private_key(65537, 2048)),
        pem(ec.generate_private_key(ec.SECP384R1())),
        b"rubbish",
    ):
        with pytest.raises(ValueError, match="signing key"):
            Bearers.load("ns/reg", wrong)
