"""Sentences that more than one check says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from registry_operator import names
from registry_operator.desired.consent import mark

if TYPE_CHECKING:
    from registry_operator.observed import Conflict
    from registry_operator.settings import Settings

SHOWN = 3


def not_permitted(namespaces: Sequence[str], settings: Settings, role: str = names.SECRETS_ROLE) -> str:
    """Who has not opted in, and the command for each, on lines of their own."""
    commands = "\n".join(settings.grant(namespace, role) for namespace in namespaces[:SHOWN])
    rest = len(namespaces) - SHOWN
    more = f"\nand for {rest} more namespaces" if rest > 0 else ""
    return f"Roadstead may not use Secrets in {listed(namespaces)}; run:\n{commands}{more}"


def not_taken(bindings: Mapping[str, str], account: str, settings: Settings) -> str:
    """Who does not take the account's pull secrets: by Kubernetes namespace the RoleBinding that says so."""
    commands = [
        settings.take(namespace, binding, mark(account)) for namespace, binding in sorted(bindings.items())
    ]
    rest = len(commands) - SHOWN
    more = f"\nand for {rest} more namespaces" if rest > 0 else ""
    shown = "\n".join(commands[:SHOWN])
    return f"no pull secret of {account} is taken by {listed(bindings)}; there, run:\n{shown}{more}"


def conflict(conflicts: Sequence[Conflict], registry: str | None = None) -> str:
    """`registry` is the name of the Registry that may take such an object over; a Secret it never does."""
    found = listed([f"{one.kind} {one.key}" for one in conflicts])
    sentence = f"{found}: an object of this name is there and is not Roadstead's; rename or delete it"
    if registry is None or any(one.kind == "Secret" for one in conflicts):
        return sentence
    return f"{sentence}, or give it away by the annotation {names.ADOPT}={registry}"


def unavailable(kinds: str) -> str:
    """Of kinds for which the API server fails."""
    return (
        f"the API server fails when it is asked for {kinds}: try kubectl get, and look at the conversion "
        "webhook of the CRD; it is asked again all the time"
    )


def listed(words: Iterable[str]) -> str:
    """The first of them, and how many more there are."""
    every = sorted(words)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more
