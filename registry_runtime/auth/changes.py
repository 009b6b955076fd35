"""What a new policy changes, for its audit record: names and ids, never a hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_runtime.contract.policy import Claim, Policy, Token

_NAMES = 50  # that a record names of each kind
_KEYED = frozenset({"namespaces", "tokens"})


def changes(before: Policy, after: Policy) -> dict[str, Any]:
    """`namespaces` and `tokens`: how many were added, changed or removed, and the first of them by name.

    `settings` are the policy's other fields that differ. What did not change is left out.
    """
    found = {
        "namespaces": _keyed(before.namespaces, after.namespaces),
        "tokens": _keyed(before.tokens, after.tokens),
        "settings": [
            name
            for name in Policy.model_fields
            if name not in _KEYED and getattr(before, name) != getattr(after, name)
        ],
    }
    return {name: value for name, value in found.items() if value}


def _keyed(before: Mapping[str, Claim | Token], after: Mapping[str, Claim | Token]) -> dict[str, Any]:
    """What a shard did not change is the same object: it is not compared field by field."""
    both = before.keys() & after.keys()
    sorts = {
        "added": after.keys() - both,
        "changed": {one for one in both if after[one] is not before[one] and after[one] != before[one]},
        "removed": before.keys() - both,
    }
    return {
        sort: {"count": len(names), "names": sorted(names)[:_NAMES]} for sort, names in sorts.items() if names
    }
