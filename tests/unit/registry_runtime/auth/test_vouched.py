"""From claims to an identity and its subjects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from registry_runtime.auth.decision import Reason
from registry_runtime.auth.id_token import IdTokenRefused
from registry_runtime.auth.scope import Scopes
from registry_runtime.auth.vouched import Subjects, by_cluster, by_provider, few, fulfils
from registry_runtime.contract.policy import Access, Action, Claim, Policy
from registry_runtime.contract.subject import KubernetesProvider, OidcProvider, oidc, service_account, token

GITHUB = OidcProvider(issuer="https://token.example", audience="registry", claims={"owner": "shop"})
DEX = OidcProvider(issuer="https://dex.example", audience="registry", user="email")
CLUSTER = KubernetesProvider(audience="registry")
CLAIMS: dict[str, Any] = {
    "sub": "shop",
    "aud": "registry",
    "owner": "shop",
    "repository": "shop/web",
}


def claim(*subjects: str) -> Claim:
    access = Access(repositories=("**",), actions=frozenset({Action.PULL}), subjects=subjects)
    return Claim(account="a", owner="uid", access=(access,))


def policy(*subjects: str) -> Policy:
    return Policy(namespaces={"team": claim(*subjects)}, oidc={"github": GITHUB, "dex": DEX})


def test_a_subject_is_whoever_has_all_its_claims() -> None:
    """To the letter, by globs, of one element of a list; of its own provider only."""
    exact = oidc("github", {"repository": "shop/web"})
    glob = oidc("github", {"repository": "shop/*"})
    deep = oidc("github", {"ref": "refs/**", "repository": "shop/web"})
    group = oidc("dex", {"groups": "ops"})
    groups = oidc("dex", {"groups": "op*"})
    known = Subjects(policy(exact, glob, deep, group, groups, token("0" * 16), service_account("a", "b")))
    assert known.of("github", CLAIMS) == {exact, glob}
    assert known.of("github", {**CLAIMS, "ref": "refs/heads/main"}) == {exact, glob, deep}
    assert known.of("github", {**CLAIMS, "repository": "shop/web/x"}) == set()
    assert known.of("dex", {**CLAIMS, "groups": ["dev", "ops"]}) == {group, groups}
    assert known.of("dex", {"groups": "ops"}) == {group, groups}
    assert known.of("other", CLAIMS) == set()


@pytest.mark.parametrize(
    "written", ["oidc:github:{}", "oidc:github:[]", "oidc:github:", 'oidc:github:{"a":1}', "oidc:github", ""]
)
def test_a_subject_without_claims_is_nobody(written: str) -> None:
    """Not everybody, who would have the role then."""
    assert Subjects(policy(written)).of("github", CLAIMS) == set()


def test_claims_are_text_numbers_and_truth() -> None:
    """What is none of them matches nothing, not even two stars."""
    claims = {
        "yes": True,
        "id": 74,
        "deep": {"a": "b"},
        "none": None,
        "mixed": [{"a": 1}, 7],
        "long": "x" * 1025,
    }
    assert fulfils(claims, {"yes": "true", "id": "74", "mixed": "7"})
    for name in ("deep", "none", "long", "absent"):
        assert not fulfils(claims, {name: "**"})
    assert not fulfils({"yes": True}, {"yes": "1"})


def test_the_provider_has_rules_for_everybody() -> None:
    """Its claims, its claim for the user, and an authorized party where there are several audiences."""
    identity = by_provider("github", GITHUB, CLAIMS, ["oidc:github:x"], 5.9)
    assert (identity.who, identity.expires) == ("github:shop", 5)
    assert identity.subjects == {"oidc:github:x"}
    users: list[Any] = [None, "", "a\nb", "x" * 257, {"a": 1}, []]
    for user in users:
        assert reason(GITHUB, {**CLAIMS, "sub": user}) is Reason.ID_TOKEN_CLAIMS
    assert reason(GITHUB, {**CLAIMS, "owner": "shops"}) is Reason.ID_TOKEN_CLAIMS
    assert reason(DEX, CLAIMS) is Reason.ID_TOKEN_CLAIMS
    several = {**CLAIMS, "aud": ["registry", "other"]}
    assert reason(GITHUB, several) is Reason.ID_TOKEN_AUDIENCE
    assert reason(GITHUB, {**several, "azp": "other"}) is Reason.ID_TOKEN_AUDIENCE
    assert reason(GITHUB, {**several, "azp": "registry"}) is None


def reason(provider: OidcProvider, claims: dict[str, Any]) -> Reason | None:
    try:
        by_provider("p", provider, claims, (), 0)
    except IdTokenRefused as error:
        return error.reason
    return None


def test_a_service_account_is_itself_and_one_of_its_namespace() -> None:
    """Nothing else that looks like one is; and nobody is an OIDC subject by it."""
    identity = by_cluster(CLUSTER, {"sub": "system:serviceaccount:shop:web.v2"}, 9)
    assert identity.who == "kubernetes:shop/web.v2"
    assert identity.subjects == {service_account("shop", "web.v2"), service_account("shop")}
    for odd in (
        "system:serviceaccount:shop",
        "system:serviceaccount:shop:",
        "system:serviceaccount:shop:web:x",
        "system:serviceaccount:shop:*",
        "system:serviceaccount:shop/x:web",
        "system:serviceaccount:shop:web\n",
        "system:node:a",
        "xsystem:serviceaccount:shop:web",
        None,
    ):
        with pytest.raises(IdTokenRefused):
            by_cluster(CLUSTER, {"sub": odd}, 9)


def test_nobody_is_crowded_out_of_a_namespace() -> None:
    """However many subjects others write, those of the Namespace that is asked for come first."""
    mine = oidc("github", {"repository": "shop/web"})
    others = [oidc("github", {"owner": "shop", "x": f"{number:0200}*"}) for number in range(500)]
    known = Policy(namespaces={"team": claim(mine), "other": claim(*others)}, oidc={"github": GITHUB})
    chosen = few([*others, mine], known, Scopes({"team/app": frozenset({Action.PULL})}))
    assert mine in chosen
    assert mine not in few([*others, mine], known, Scopes())
    assert 1 < len(chosen) <= 64
    assert len(json.dumps(sorted(chosen))) < 5000
    assert few([mine], known, Scopes()) == {mine}
    assert few([], known, Scopes({"nowhere/app": frozenset()})) == set()
