"""docs/oidc.md: its examples let in whom they say, and nobody else."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from registry_operator.desired.access import access, oidc

from registry_runtime.auth.id_token import IdTokenRefused
from registry_runtime.auth.vouched import Subjects, by_provider
from registry_runtime.contract.policy import Action, Claim, Policy
from tests.documents import DOCS
from tests.unit.operator.harbour import claim, registry

READER, WRITER = {Action.PULL, Action.LIST}, {Action.PULL, Action.PUSH, Action.DELETE}
# As the platforms document their tokens.
GITHUB = {
    "sub": "repo:barge/web:ref:refs/heads/main",
    "aud": "harbour.example.com",
    "repository": "barge/web",
    "repository_owner": "barge",
    "repository_owner_id": "4971",
    "ref": "refs/heads/main",
}
GITLAB = {
    "sub": "project_path:barge/web:ref_type:branch:ref:main",
    "aud": "https://harbour.example.com",
    "namespace_path": "barge",
    "project_path": "barge/web",
    "ref_protected": "true",
}
KEYCLOAK = {"sub": "f3a1", "aud": "harbour", "preferred_username": "anna", "groups": ["developers", "all"]}
DEX = {
    "sub": "CgA",
    "aud": "harbour",
    "email": "anna@example.com",
    "email_verified": True,
    "groups": ["authors"],
}


def examples() -> dict[str, Policy]:
    """A policy for each pair of a Registry and a Namespace, by the provider's name."""
    found = {}
    for block in re.findall(r"```yaml\n(.*?)```", (DOCS / "oidc.md").read_text(), re.DOTALL):
        documents = list(yaml.safe_load_all(block))
        if [one.get("kind") for one in documents] == ["Registry", "Namespace"]:
            one = registry(**documents[0]["spec"])
            name = documents[1]["spec"]
            mine = claim(spec={"access": name["access"]})
            granted = access(one, mine, {})
            namespaces = {name["name"]: Claim(account="a", owner="a", access=granted)}
            policy = Policy(namespaces=namespaces, oidc=oidc(one))
            found[next(iter(policy.oidc))] = policy
    return found


EXAMPLES = examples()


def may(provider: str, claims: dict[str, Any]) -> set[Action] | None:
    """What the examples let them do in pier-one; None for who does not even log in."""
    policy = EXAMPLES[provider]
    mine = Subjects(policy).of(provider, claims)
    try:
        by_provider(provider, policy.oidc[provider], claims, mine, 0)
    except IdTokenRefused:
        return None
    granted = policy.namespaces["pier-one"].access
    return {action for one in granted if mine & {*one.subjects} for action in one.actions}


def test_there_is_an_example_of_each() -> None:
    """In the order in which they stand."""
    assert list(EXAMPLES) == ["github", "gitlab", "company", "dex"]


@pytest.mark.parametrize(
    ("provider", "claims", "change", "expected"),
    [
        ("github", GITHUB, {}, READER | WRITER),
        ("github", GITHUB, {"ref": "refs/pull/7/merge"}, READER),
        ("github", GITHUB, {"repository": "barge/other"}, READER),
        ("github", GITHUB, {"repository_owner_id": "4972"}, None),
        ("gitlab", GITLAB, {}, WRITER),
        ("gitlab", GITLAB, {"ref_protected": "false"}, set()),
        ("gitlab", GITLAB, {"namespace_path": "barge2"}, None),
        ("company", KEYCLOAK, {}, READER),
        ("company", KEYCLOAK, {"groups": ["ops"]}, set(Action)),
        ("company", KEYCLOAK, {"groups": []}, READER),
        ("company", KEYCLOAK, {"groups": ["devel"], "preferred_username": "eve"}, set()),
        ("dex", DEX, {}, WRITER),
        ("dex", DEX, {"groups": ["readers"]}, set()),
        ("dex", DEX, {"email_verified": False}, None),
    ],
)
def test_an_example_lets_in(
    provider: str, claims: dict[str, Any], change: dict[str, Any], expected: set[Action] | None
) -> None:
    """With the claims that the platform gives, and with others."""
    assert may(provider, claims | change) == expected
