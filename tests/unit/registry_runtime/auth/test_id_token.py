"""ID tokens: with real keys of every kind, and with every trick that is known of them."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from registry_runtime.auth.decision import Reason
from registry_runtime.auth.id_token import IdToken, IdTokenRefused, KeySet, ends, resembles, verified
from registry_runtime.auth.scope import Scopes
from registry_runtime.auth.tokens import Bearers, Claims
from registry_runtime.contract.credential import Password
from tests.issuer import jwk, private_key

ISSUER = "https://issuer.example"
NOW = 1_800_000_000.0
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": "registry",
    "sub": "anna",
    "iat": int(NOW),
    "exp": int(NOW) + 300,
}
LONG_NUMBER = b'{"iss": 1' + b"0" * 5000 + b"}"
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


def key_set(*keys: dict[str, Any]) -> KeySet:
    return KeySet({"keys": list(keys)})


def claims_of(text: str, keys: KeySet) -> dict[str, Any]:
    token = IdToken.parse(text)
    return verified(token, keys.find(token.key_id))


def part(value: object) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def refused(text: str, keys: KeySet) -> Reason:
    with pytest.raises(IdTokenRefused) as caught:
        claims_of(text, keys)
    return caught.value.reason


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_verifies(algorithm: str) -> None:
    """With its own key; never with another of the same kind, and not when one letter is another."""
    key, other = private_key(algorithm), private_key(algorithm)
    keys = key_set(jwk("a", algorithm, key))
    text = jwt.encode(CLAIMS, key, algorithm, headers={"kid": "a"})
    assert claims_of(text, keys) == CLAIMS
    assert refused(text, key_set(jwk("a", algorithm, other))) is Reason.ID_TOKEN_REFUSED
    head, _, signature = text.split(".")
    refused(f"{head}.{part({**CLAIMS, 'sub': 'eve'})}.{signature}", keys)


def test_ed448_and_keys_without_an_algorithm() -> None:
    """A key that names no algorithm verifies those of its kind, as Azure's and Okta's are published."""
    ed448 = private_key("Ed448")
    assert claims_of(jwt.encode(CLAIMS, ed448, "EdDSA"), key_set(jwk("a", "EdDSA", ed448)))
    key = private_key("RS256")
    public = jwk("a", "RS256", key)
    del public["alg"], public["use"]
    for algorithm in ("RS512", "PS256"):
        assert claims_of(jwt.encode(CLAIMS, key, algorithm, headers={"kid": "a"}), key_set(public))


def test_the_key_says_the_algorithm() -> None:
    """A token cannot choose: not none, not a shared secret made of the public key, no other of its kind."""
    key = private_key("RS256")
    keys = key_set(jwk("a", "RS256", key))
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = {"kid": "a", "typ": "JWT"}
    for algorithm in ("none", "None", "NONE", ""):
        refused(f"{part({**head, 'alg': algorithm})}.{part(CLAIMS)}.AA", keys)
    for secret in (pem, pem.strip(), json.dumps(jwk("a", "RS256", key)).encode()):
        signed = f"{part({**head, 'alg': 'HS256'})}.{part(CLAIMS)}"
        mac = jwt.get_algorithm_by_name("HS256").sign(signed.encode(), secret)
        refused(f"{signed}.{part(mac)}", keys)
    refused(jwt.encode(CLAIMS, key, "PS256", headers={"kid": "a"}), keys)
    refused(jwt.encode(CLAIMS, private_key("ES256"), "ES256", headers={"kid": "a"}), keys)


def test_headers_that_change_the_meaning_are_refused() -> None:
    """A key that the token brings itself is not looked at; what is critical, or no ID token, is refused."""
    key, eve = private_key("ES256"), private_key("ES256")
    keys = key_set(jwk("a", "ES256", key))
    brought: list[dict[str, Any]] = [
        {"jwk": jwk("a", "ES256", eve)},
        {"jku": "https://e"},
        {"x5u": "https://e"},
    ]
    for header in brought:
        refused(jwt.encode(CLAIMS, eve, "ES256", headers={"kid": "a", **header}), keys)
    others: list[dict[str, Any]] = [
        {"crit": ["exp"], "exp": 1},
        {"typ": "at+jwt"},
        {"typ": "logout+jwt"},
        {"typ": 1},
    ]
    for header in others:
        refused(_signed({"kid": "a", "alg": "ES256", **header}, CLAIMS, key), keys)
    assert claims_of(_signed({"kid": "a", "alg": "ES256", "typ": "jwt"}, CLAIMS, key), keys)


def _signed(header: dict[str, Any], claims: dict[str, Any], key: Any) -> str:
    """What the library would not sign."""
    signed = f"{part(header)}.{part(claims)}"
    return f"{signed}.{part(jwt.get_algorithm_by_name('ES256').sign(signed.encode(), key))}"


def test_a_key_is_found_by_its_id() -> None:
    """A token that names none has the only one; another's name is of no use."""
    key, second = private_key("ES256"), private_key("ES256")
    keys = key_set(jwk("a", "ES256", key), jwk("b", "ES256", second))
    for key_id in ("b", "c", "", "../a", None):
        headers = {} if key_id is None else {"kid": key_id}
        refused(jwt.encode(CLAIMS, key, "ES256", headers=headers), keys)
    refused(_signed({"kid": 7, "alg": "ES256"}, CLAIMS, key), keys)
    assert claims_of(jwt.encode(CLAIMS, key, "ES256"), key_set(jwk("a", "ES256", key)))


def test_two_keys_of_one_name_are_both_tried() -> None:
    """RFC 7517 allows them where their types differ."""
    key, rsa_key = private_key("ES256"), private_key("RS256")
    keys = key_set(jwk("a", "RS256", rsa_key), jwk("a", "ES256", key))
    assert claims_of(jwt.encode(CLAIMS, key, "ES256", headers={"kid": "a"}), keys)
    assert claims_of(jwt.encode(CLAIMS, rsa_key, "RS256", headers={"kid": "a"}), keys)


def test_keys_for_something_else_are_left_out() -> None:
    """Shared secrets, keys for encryption, private ones, nonsense; a set with nothing else is no set."""
    key = private_key("ES256")
    good, private = jwk("a", "ES256", key), get_default_algorithms()["ES256"].to_jwk(key, as_dict=True)
    odd: list[Any] = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "b", "alg": "HS256"},
        {**good, "kid": "b", "use": "enc"},
        {**private, "kid": "b"},
        {**good, "kid": "b", "alg": "ES384"},
        {**good, "kid": "b", "x": "AA"},
        {**good, "kid": ["b"]},
        {**good, "kid": "b", "crv": "secp256k1"},
        {"kty": "RSA", "kid": "b"},
        {"kty": "EC", "crv": {"deep": 1}, "kid": "b"},
        None,
        "key",
    ]
    assert not key_set(good, *odd).find("b")
    assert len(key_set(good, *odd).find("a")) == 1
    documents: list[Any] = [{"keys": odd}, {"keys": []}, {"keys": "a"}, {}, [], None, {"keys": [good] * 101}]
    for document in documents:
        with pytest.raises(ValueError, match="keys"):
            KeySet(document)


def test_a_short_key_verifies_nothing() -> None:
    """RSA below 2048 bits is somebody else's to forge."""
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is the point
    signed = f"{part({'kid': 'a', 'alg': 'RS256'})}.{part(CLAIMS)}"
    signature = jwt.get_algorithm_by_name("RS256").sign(signed.encode(), key)
    refused(f"{signed}.{part(signature)}", key_set(jwk("a", "RS256", key)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b",
        "a.b.c.d",
        "..",
        "a..c",
        "ä.b.c",
        "a.b.c\n",
        f"{part({'alg': 'ES256'})}.{part(b'[' * 20_000)}.AA",
        f"{part(b'[' * 20_000)}.{part(CLAIMS)}.AA",
        f"{part([1])}.{part(CLAIMS)}.AA",
        f"{part({'alg': 'ES256'})}.{part([CLAIMS])}.AA",
        f"{part({'alg': 'ES256'})}.{part({'iss': [ISSUER]})}.AA",
        f"{part({'alg': 'ES256'})}.{part(LONG_NUMBER)}.AA",
        f"{part({'alg': 'ES256'})}.{part(bytes([0xFF, 0xFE, 0x00]))}.AA",
        f"{part({'alg': 'ES256'})}.{part({'iss': ISSUER, 'pad': 'x' * 32_768})}.AA",
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    """Too much, too deep, of another form: always the same answer, and never another error."""
    with pytest.raises(IdTokenRefused):
        IdToken.parse(text)


def test_only_tokens_resemble_tokens() -> None:
    """Passwords of AccessTokens go their own way; our own bearer resembles one, and is of no issuer."""
    assert not resembles(Password.generate("0" * 16).text)
    assert not resembles("a.b.c" + "c" * 32_768)
    own = Bearers.generate("ns/reg").sign(Claims("", 0, 1, Scopes()))
    assert resembles(own)
    assert not IdToken.parse(own).issuer.startswith("https://")


def judged(claims: dict[str, Any], now: float = NOW) -> float | Reason:
    try:
        return ends(claims, issuer=ISSUER, audience="registry", now=now)
    except IdTokenRefused as error:
        return error.reason


def test_a_token_has_its_time() -> None:
    """Clocks may differ by a minute; after that it is too early, or too late."""
    assert judged(CLAIMS) == NOW + 360
    assert judged(CLAIMS, NOW + 359) == NOW + 360
    assert judged(CLAIMS, NOW + 360) is Reason.ID_TOKEN_EXPIRED
    assert judged(CLAIMS, NOW - 60) == NOW + 360
    assert judged(CLAIMS, NOW - 61) is Reason.ID_TOKEN_EARLY
    assert judged({**CLAIMS, "nbf": NOW + 61}) is Reason.ID_TOKEN_EARLY
    times: list[Any] = [None, "1900000000", True, [], {}, float("nan"), float("inf"), 10**400]
    for odd in times:
        assert judged({**CLAIMS, "exp": odd}) is Reason.ID_TOKEN_REFUSED
    for odd in times[1:]:
        assert judged({**CLAIMS, "nbf": odd}) is Reason.ID_TOKEN_REFUSED


@pytest.mark.parametrize(
    "issuer", [f"{ISSUER}/", ISSUER.upper(), "http://issuer.example", f"{ISSUER}.evil", "", None, [ISSUER]]
)
def test_the_issuer_is_compared_to_the_letter(issuer: object) -> None:
    """Another name is another issuer, be it by a slash."""
    assert judged({**CLAIMS, "iss": issuer}) is Reason.ID_TOKEN_REFUSED


def test_the_audience_must_be_ours() -> None:
    """Alone or among others; never by a part of it."""
    assert judged({**CLAIMS, "aud": ["other", "registry"]}) == NOW + 360
    others: list[Any] = ["registry2", "regis", ["other"], [], None, {"registry": 1}, [["registry"]], ""]
    for odd in others:
        assert judged({**CLAIMS, "aud": odd}) is Reason.ID_TOKEN_AUDIENCE
