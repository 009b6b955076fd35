"""Who may ask about whom."""

from __future__ import annotations

import pytest

from registry_runtime.api.why import _is_known
from registry_runtime.auth.identity import Identity

GROUPS = frozenset({"oidc:forge:group-a", "oidc:forge:group-b"})
MALLORY = Identity(provider="forge", name="mallory", subjects=GROUPS)


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        (MALLORY, True),
        (Identity(provider="forge", name="mallory", subjects=frozenset({"oidc:forge:group-a"})), True),
        (Identity(provider="forge", name="mallory", subjects=GROUPS | {"oidc:forge:auditors"}), False),
        (Identity(provider="forge", name="somebody", subjects=GROUPS), False),
    ],
)
def test_nobody_becomes_more_by_a_question(asked: Identity, known: bool) -> None:
    """Claims that are invented in it would tell what is granted to others."""
    assert _is_known(asked, MALLORY) is known
