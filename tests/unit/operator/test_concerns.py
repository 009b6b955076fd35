"""Which Secrets are looked at, and whom a change of one concerns."""

from dataclasses import replace

import pytest
from registry_operator import names
from registry_operator.cache import Cache
from registry_operator.concerns import Concerns
from registry_operator.models import Key
from registry_operator.observed import KubernetesNamespace, SecretData
from registry_operator.queue import Kind

from tests.unit.operator import harbour
from tests.unit.operator.test_cache import REGISTRY, newer, work


@pytest.fixture
def cache() -> Cache:
    return harbour.known()


@pytest.fixture
def concerns(cache: Cache) -> Concerns:
    return Concerns(cache)


def test_a_password_secret_concerns_the_policy(concerns: Concerns) -> None:
    """Somebody deletes it: the token must be refused, and gets a new one."""
    token = harbour.token()
    data = SecretData({}, labels={names.OWNER_UID: token.meta.uid})
    found = concerns.of_secret(token.secret, [data])
    assert found >= work((Kind.POLICY, *REGISTRY), (Kind.ACCESS_TOKEN, *token.key))


def test_a_secret_that_is_seen_after_its_token_went_concerns_the_token(concerns: Concerns) -> None:
    """Its deletion has come and gone by then: nobody else would look at what it left."""
    left = SecretData(
        {}, labels={names.OWNER_UID: "gone"}, annotations={names.OWNER: "AccessToken shop/gone"}
    )
    found = concerns.of_secret(Key("shop-app", "gone-pull"), [left])
    assert found == work((Kind.ACCESS_TOKEN, "shop", "gone"))
    strange = SecretData({}, labels={names.OWNER_UID: "x"}, annotations={names.OWNER: "Registry shop/x"})
    assert concerns.of_secret(Key("shop-app", "x"), [strange]) == set()


def test_a_secret_in_the_place_of_a_pull_secret_concerns_the_token(concerns: Concerns, cache: Cache) -> None:
    """Somebody else's, or that of a deleted token of this very name: its place is free when it goes."""
    before = harbour.token()
    token = harbour.token(pullSecrets={"namespaces": ["shop-app"], "name": "regcred"})
    cache.see_token(before.key, replace(token, meta=replace(token.meta, resource_version="8")))
    predecessor = SecretData(
        {}, labels={names.OWNER_UID: "gone"}, annotations={names.OWNER: f"AccessToken {token.key}"}
    )
    for data in (SecretData({}), predecessor):
        found = concerns.of_secret(Key("shop-app", "regcred"), [data])
        assert found == work((Kind.ACCESS_TOKEN, *token.key))
        assert concerns.of_secret(Key("other", "regcred"), [data]) == set()


def test_credentials_concern_the_registry_that_refers_to_them(concerns: Concerns) -> None:
    """And nobody else's Secret concerns anybody."""
    assert concerns.of_secret(Key("harbour", "s3"), [SecretData({})]) == work((Kind.REGISTRY, *REGISTRY))
    assert concerns.of_secret(Key("harbour", "unrelated"), [SecretData({})]) == set()
    assert concerns.of_secret(Key("other", "s3"), [SecretData({})]) == set()


def test_the_tenants_keys_concern_the_registry_that_they_encrypt(concerns: Concerns, cache: Cache) -> None:
    """Their Secret is kept, and a new key in it is looked at and brought to the pods at once."""
    cache.see_registry(REGISTRY, harbour.encrypted(meta=newer("8")))
    assert "keys" in concerns.wanted_secrets("harbour")
    found = concerns.of_secret(Key("harbour", "keys"), [SecretData({"k1": b"one"})])
    assert found == work((Kind.REGISTRY, *REGISTRY))


def test_names_that_somebody_uses_are_the_secrets_to_keep(concerns: Concerns) -> None:
    """The user's that are referred to, and those that would be written: others are a conflict."""
    assert {"s3", harbour.token().secret.name} <= concerns.wanted_secrets("harbour")
    assert concerns.wanted_secrets("other") == frozenset()


def test_where_anybody_looks_for_secrets_is_followed(concerns: Concerns, cache: Cache) -> None:
    """Where resources are, and where pull secrets go, by name or by labels."""
    token = harbour.token(pullSecrets={"selector": {"matchLabels": {"a": "b"}}})
    cache.see_token(token.key, replace(token, meta=replace(token.meta, resource_version="8")))
    cache.see_account("new", KubernetesNamespace("new", "uid-new", {"a": "b"}))
    cache.see_account("other", KubernetesNamespace("other", "uid-other"))
    assert concerns.namespaces() == {"harbour", "new"}
