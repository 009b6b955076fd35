"""Somebody by name, of whom it is asked why: nobody who is here."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from registry_runtime.auth import vouched
from registry_runtime.auth.id_token import IdTokenRefused
from registry_runtime.auth.identity import ANYBODY, Identity, service_account
from registry_runtime.contract.policy import Policy

FORMS = "token:<id>, serviceaccount:<namespace>/<name>, oidc:<provider>:<claims as JSON>, anybody"


class NameUnreadable(ValueError):
    """Nobody has such a name; the sentence says why."""


def identity_of(text: str, policy: Policy, address: str = "") -> Identity:
    """Whom the text names, as who comes from this address. Raises NameUnreadable."""
    kind, _, name = text.partition(":")
    match kind:
        case "anybody":
            return replace(ANYBODY, source=address)
        case "token" if name:
            return Identity(name, source=address)
        case "serviceaccount":
            return replace(service_account(*_parts(name)), source=address)
        case "oidc":
            return replace(_by_claims(name, policy), source=address)
        case _:
            raise NameUnreadable(f"identity is one of {FORMS}")


def _parts(name: str) -> tuple[str, str]:
    namespace, _, account = name.partition("/")
    if not namespace or not account or "/" in account:
        raise NameUnreadable("a ServiceAccount is serviceaccount:<namespace>/<name>")
    return namespace, account


def _by_claims(text: str, policy: Policy) -> Identity:
    name, _, document = text.partition(":")
    if name not in policy.oidc:
        raise NameUnreadable("the Registry has no OIDC provider of this name")
    claims = {**_object(document), "aud": policy.oidc[name].audience}
    mine = vouched.Subjects(policy).of(name, claims)
    try:
        return vouched.by_provider(name, policy.oidc[name], claims, mine, 0)
    except IdTokenRefused:
        raise NameUnreadable("the provider's rules refuse an ID token with these claims") from None


def _object(text: str) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise NameUnreadable("the claims of an ID token are an object of JSON")
    return read
