"""What the record of a new policy says."""

from __future__ import annotations

import json

from registry_runtime.auth.changes import changes
from registry_runtime.contract.policy import Claim, Policy, Token

CLAIM = Claim(account="shop", owner="uid")
TOKEN = Token(account="shop", owner="uid", hashes=("secret-hash",), grants=())
BEFORE = Policy(namespaces={"stays": CLAIM, "goes": CLAIM}, tokens={"rotated": TOKEN, "same": TOKEN})


def test_a_record_names_what_changed() -> None:
    """Each by name, and no more of it: neither hashes nor what stayed as it was."""
    after = Policy(
        namespaces={"stays": CLAIM.model_copy(update={"private_only": True}), "comes": CLAIM},
        tokens={"rotated": TOKEN.model_copy(update={"hashes": ("other-hash",)}), "same": TOKEN.model_copy()},
        private_only=True,
    )
    found = changes(BEFORE, after)
    assert found == {
        "namespaces": {
            "added": {"count": 1, "names": ["comes"]},
            "changed": {"count": 1, "names": ["stays"]},
            "removed": {"count": 1, "names": ["goes"]},
        },
        "tokens": {"changed": {"count": 1, "names": ["rotated"]}},
        "settings": ["private_only"],
    }
    assert "hash" not in json.dumps(found)


def test_a_record_stays_small() -> None:
    """Ten thousand tokens at once are a number, and the first fifty of them."""
    many = Policy(tokens={f"{number:05d}": TOKEN for number in range(10_000)})
    added = changes(Policy(), many)["tokens"]["added"]
    assert (added["count"], len(added["names"]), added["names"][0]) == (10_000, 50, "00000")


def test_nothing_changed() -> None:
    """No fields for what there is nothing to say of."""
    assert changes(BEFORE, BEFORE) == {}
