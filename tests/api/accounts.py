"""Guests of the Namespace `team`: one for each role and for each action, all of another account."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from registry_operator.desired.access import ROLES

from registry_runtime.contract import subject
from registry_runtime.contract.credential import Password
from registry_runtime.contract.policy import Access, Action, Policy
from tests.api.client import Answer, Client
from tests.api.replica import STRANGER, Replica, closed, token

Actions = frozenset[Action]
GUESTS: dict[str, Actions] = {
    **{str(role): actions for role, actions in ROLES.items()},
    **{f"only {action}": frozenset({action}) for action in Action},
}
_OWN_WAYS = {"date", "x-request-id", "content-length"}  # headers that differ anyway, or by a name alone
PASSWORDS = {name: Password.generate(f"{number:016x}") for number, name in enumerate(GUESTS, start=0x10)}


def granted(actions: Actions, *subjects: str, globs: tuple[str, ...] = ("team/**",)) -> Access:
    return Access(repositories=globs, actions=actions, subjects=subjects)


def sharing(*more: Access, **changes: object) -> Policy:
    """The usual policy, where `team` lets the guests in, and more."""
    usual = closed()
    guests = {password.id: token(password, "theirs", "", frozenset()) for password in PASSWORDS.values()}
    entries = [granted(GUESTS[name], subject.token(one.id)) for name, one in PASSWORDS.items()]
    team = usual.namespaces["team"].model_copy(update={"access": (*entries, *more)})
    return usual.model_copy(
        update={
            "namespaces": {**usual.namespaces, "team": team},
            "tokens": {**usual.tokens, **guests},
            **changes,
        }
    )


def enforce(policy: Policy, *replicas: Replica) -> None:
    """Returns when the policy is in force at each of them."""
    mounted = {one.ports["probes"]: one.set_policy(policy) for one in replicas}
    for one in replicas:
        ends = time.monotonic() + 10
        revision = Policy.model_validate_json(mounted[one.ports["probes"]]).revision
        while one.revision != revision:
            assert time.monotonic() < ends, "the policy did not come into force"
            time.sleep(0.05)


def refusal(answer: Answer) -> str:
    """The sentence of a DENIED."""
    assert (answer.status, answer.code) == (403, "DENIED")
    return str(answer.json()["errors"][0]["message"])


def their_image(replica: Replica) -> Client:
    """The other account's client, at a repository of its own with an image."""
    client = replace(replica.client(STRANGER), repository="foreign/secret")
    client.push_image("latest")
    return client


def shown(answer: Answer, *names: str) -> tuple[Any, ...]:
    """All that a client sees of an answer, but for the names that it asked by itself."""
    headers = sorted(
        (key.lower(), value) for key, value in answer.headers.items() if key.lower() not in _OWN_WAYS
    )
    text = repr((answer.status, headers, answer.body))
    for name in names:
        text = text.replace(name, "NAME").replace(quote(name, safe=""), "NAME")
    return (answer.status, text)
