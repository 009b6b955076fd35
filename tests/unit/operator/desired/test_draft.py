"""Drafts of claims and policy: what was drafted before spares time, and changes nothing."""

from __future__ import annotations

import base64
import gzip
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from registry_operator import names
from registry_operator.desired.draft import Draft, Drafts, draft
from registry_operator.desired.policy import policy, settlement, shard
from registry_operator.observed import RegistryObserved

from registry_runtime.contract.policy import KEY, Policy
from tests.unit.operator.harbour import (
    accounts,
    claim,
    observed,
    password_secret,
    registry,
    secrets_of,
    token,
    view,
)

ACCOUNTS = ("shop", "yard")
TOKENS = st.sampled_from([f"robot-{number}" for number in range(6)])
WITHIN = st.sampled_from(ACCOUNTS)


def documents(found: Draft) -> list[bytes]:
    """Of the policy's Secrets, in their order."""
    return [gzip.decompress(base64.b64decode(child["data"][KEY])) for child in found.children[1:]]


def obvious(observed: RegistryObserved) -> tuple[Policy, list[bytes]]:
    """The policy and its documents, all made anew, one after the other."""
    whole = policy(observed, settlement(observed))
    cut = []
    for number in range(names.POLICY_SHARDS):
        part = whole.model_copy() if number == 0 else Policy()
        kinds: dict[str, Any] = {"namespaces": whole.namespaces, "tokens": whole.tokens}
        for kind, entries in kinds.items():
            mine = {name: one for name, one in entries.items() if shard(name, names.POLICY_SHARDS) == number}
            part = part.model_copy(update={kind: mine})
        cut.append(part.encode())
    return whole, cut


class History(RuleBasedStateMachine):
    """One Registry whose tokens, Namespaces, Secrets and accounts come, change and go between two drafts."""

    def __init__(self) -> None:
        super().__init__()
        self.drafts = Drafts()
        robots = [token(f"robot-{number}", ACCOUNTS[number % 2]) for number in range(3)]
        made = {one.secret: password_secret(one)[0] for one in robots}
        self.tokens = {one.key: one for one in robots}
        self.claims = {one.key: one for one in (claim("shop", "shop"), claim("yard", "yard"))}
        self.secrets = made
        self.accounts = accounts(*ACCOUNTS)
        self.refused: frozenset[str] = frozenset()
        self.spec: dict[str, Any] = {"allowedNamespaces": {"from": "All"}}

    @property
    def seen(self) -> RegistryObserved:
        return observed(
            registry(**self.spec),
            tokens=tuple(self.tokens.values()),
            namespaces=tuple(self.claims.values()),
            kubernetes_namespaces=dict(self.accounts),
            secrets=view(self.secrets, self.refused),
        )

    @rule(name=TOKENS, account=WITHIN, suspended=st.booleans(), uses=st.sampled_from([None, 3]))
    def a_token_is_applied(self, name: str, account: str, suspended: bool, uses: int | None) -> None:
        spec: dict[str, Any] = {"uses": uses} if uses else {}
        one = token(name, account, suspended=suspended, **spec)
        self.tokens[one.key] = one

    @rule(name=TOKENS, account=WITHIN)
    def its_secret_is_made(self, name: str, account: str) -> None:
        one = token(name, account)
        self.secrets[one.secret] = password_secret(one)[0]

    @rule(name=TOKENS, account=WITHIN, secret=st.booleans())
    def it_goes(self, name: str, account: str, secret: bool) -> None:
        one = token(name, account)
        self.tokens.pop(one.key, None)
        if secret:
            self.secrets.pop(one.secret, None)

    @rule(name=st.sampled_from(["shop", "dock"]), account=WITHIN, robot=TOKENS, private=st.booleans())
    def a_namespace_is_applied(self, name: str, account: str, robot: str, private: bool) -> None:
        access = [{"role": "Reader", "subjects": [{"accessToken": {"name": robot}}]}]
        one = claim(name, account, spec={"access": access, "privateOnly": private})
        self.claims[one.key] = one

    @rule(account=WITHIN, again=st.booleans())
    def an_account_goes_or_is_another(self, account: str, again: bool) -> None:
        before = self.accounts.pop(account, None)
        if again:
            uid = f"{before.uid}+" if before else "first"
            self.accounts[account] = replace(accounts(account)[account], uid=uid)

    @rule(account=WITHIN)
    def consent_is_withdrawn_or_given(self, account: str) -> None:
        self.refused ^= {account}

    @rule(private=st.booleans(), everyone=st.booleans())
    def the_registry_changes(self, private: bool, everyone: bool) -> None:
        self.spec = {"privateOnly": private, "allowedNamespaces": {"from": "All" if everyone else "Same"}}

    @invariant()
    def the_draft_is_what_one_made_from_nothing_is(self) -> None:
        seen = self.seen
        found = self.drafts.draft(seen)
        assert found == draft(seen)
        whole, cut = obvious(seen)
        assert found.policy == whole
        assert found.revision == whole.revision
        assert documents(found) == cut
        assert Policy.merge(tuple(map(Policy.decode, cut))) == whole
        self.secrets = {**self.secrets, **secrets_of(found.children)}


TestHistory = History.TestCase


def test_one_change_makes_one_document() -> None:
    """Of a hundred tokens one is suspended: the entries of the others and three of four Secrets stay."""
    robots = [token(f"robot-{number}") for number in range(100)]
    seen = observed(tokens=robots, secrets=view({one.secret: password_secret(one)[0] for one in robots}))
    drafts = Drafts()
    before = drafts.draft(seen)
    assert len(before.policy.tokens) == 100

    after = drafts.draft(replace(seen, tokens=(token("robot-0", suspended=True), *robots[1:])))

    others = [id_ for id_, one in before.policy.tokens.items() if after.policy.tokens[id_] is one]
    assert len(others) == 99
    kept = [one for one, other in zip(before.children[1:], after.children[1:], strict=True) if one is other]
    assert len(kept) == names.POLICY_SHARDS - 1
    assert after.revision != before.revision


def test_a_status_is_no_content() -> None:
    """Of a token that only tells how it is doing nothing is made again."""
    robot = token()
    seen = observed(tokens=(robot,), secrets=view({robot.secret: password_secret(robot)[0]}))
    drafts = Drafts()
    before = drafts.draft(seen)
    after = drafts.draft(replace(seen, tokens=(token(status={"id": "told"}, meta={"resourceVersion": "8"}),)))
    assert after == before
    assert all(one is other for one, other in zip(before.children[1:], after.children[1:], strict=True))
