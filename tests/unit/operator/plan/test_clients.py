"""Who loses and gains access, held against the decision itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some
from registry_operator.plan.clients import BOTH, Right, Shift, examples, moved, shift

from registry_runtime.auth.decision import decide
from registry_runtime.auth.globs import matches
from registry_runtime.auth.identity import Endpoint, Identity
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract import subject
from registry_runtime.contract.policy import Access, Action, Claim, Grant, Policy, Token
from tests.unit.operator.harbour import NOW

HASH = "0" * 64
GLOBS = ["pier/**", "pier/*", "pier/app", "pier/app/**", "jetty/**", "**", "*/app"]
REPOSITORIES = ["pier/app", "pier/x", "pier/x/y", "jetty/x", "pier/app/x"]


def token(*grants: Grant, **more: object) -> Token:
    return Token(account="port", owner="port", hashes=(HASH,), grants=grants).model_copy(update=more)


def grant(*globs: str, actions: tuple[Action, ...] = (Action.PULL,)) -> Grant:
    return Grant(repositories=globs, actions=frozenset(actions))


def policy(tokens: dict[str, Token], access: tuple[Access, ...] = (), **more: object) -> Policy:
    claims = {name: Claim(account="port", owner="port", access=access) for name in ("pier", "jetty")}
    return Policy(namespaces=claims, tokens=tokens).model_copy(update=more)


def told(before: Policy, after: Policy, **words: frozenset[str]) -> Shift:
    return shift(before, after, now=NOW, named=lambda id_: f"AccessToken {id_}", **words)


grants = some.builds(
    Grant,
    repositories=some.lists(some.sampled_from(GLOBS), min_size=1, max_size=2, unique=True).map(tuple),
    actions=some.frozensets(some.sampled_from(list(Action)), min_size=1),
)
entries = some.builds(
    Access,
    repositories=some.lists(some.sampled_from(GLOBS), min_size=1, max_size=2, unique=True).map(tuple),
    actions=some.frozensets(some.sampled_from(list(Action)), min_size=1),
    subjects=some.just((subject.token("one"),)),
)
policies = some.builds(
    policy,
    some.dictionaries(
        some.sampled_from(["one", "two"]),
        some.builds(token, grants, suspended=some.booleans(), owner=some.sampled_from(["port", "another"])),
    ),
    some.lists(entries, max_size=2).map(tuple),
    private_only=some.booleans(),
)


@given(before=policies, after=policies)
def test_what_is_told_is_what_is_decided(before: Policy, after: Policy) -> None:
    """Each decision that becomes another one is told, and each example that is told is another decision."""
    found = told(before, after)
    for id_ in ("one", "two"):
        for text in REPOSITORIES:
            for action in Action:
                for door in Endpoint:
                    was, will = (may(one, id_, text, action, door) for one in (before, after))
                    side = found.lost if was else found.gained
                    if was != will:
                        assert any(covers(one, f"AccessToken {id_}", text, action, door) for one in side)
    for side, sign in ((found.lost, True), (found.gained, False)):
        for one in side:
            for action in map(Action, one.actions):
                door = Endpoint.PRIVATE if one.domain == "private" else Endpoint.PUBLIC
                id_ = one.who.removeprefix("AccessToken ")
                assert may(before, id_, one.example, action, door) is sign
                assert may(after, id_, one.example, action, door) is not sign


def may(one: Policy, id_: str, text: str, action: Action, door: Endpoint) -> bool:
    return decide(one, Identity(id_), door, RepositoryName.parse(text), action, now=NOW).allowed


def covers(right: Right, who: str, text: str, action: Action, door: Endpoint) -> bool:
    domain = right.domain in {BOTH, str(door)}
    return right.who == who and action in right.actions and domain and matches(right.repositories, text)


def test_the_same_in_other_words_is_no_change() -> None:
    """A rule that is split in two takes and gives nothing."""
    before = policy({"one": token(grant("pier/**", actions=(Action.PULL, Action.PUSH)))})
    after = policy({"one": token(grant("pier/**"), grant("pier/**", actions=(Action.PUSH,)))})
    assert told(before, after) == Shift()


def test_limits_are_told_in_words() -> None:
    """From where, until when, and that a password is replaced, unless nobody knows the one of before."""
    before = policy({"one": token(grant("pier/**"))})
    later = NOW + timedelta(days=1)
    changed = token(grant("pier/**"), networks=("10.0.0.0/8",), not_after=later, hashes=("1" * 64,))
    found = told(before, policy({"one": changed}))
    assert found.lost == ()
    assert [one.partition(": ")[2].split(" ")[0] for one in found.limits] == ["from", "ends", "its"]
    blind = told(before, policy({"one": changed}), unread=frozenset({"port"}))
    assert len(blind.limits) == 2


def test_service_accounts_lose_what_a_namespace_takes_back() -> None:
    """Subjects that are no tokens are clients, too."""
    entry = Access(
        repositories=("pier/**",),
        actions=frozenset({Action.PULL}),
        subjects=(subject.service_account("shop"), subject.oidc("ci", {"sub": "a"})),
    )
    vouching = {"kubernetes": {"audience": "a"}, "oidc": {"ci": {"issuer": "https://i", "audience": "a"}}}
    vouch = Policy.model_validate(vouching)
    more = {"kubernetes": vouch.kubernetes, "oidc": vouch.oidc}
    found = told(policy({}, (entry,), **more), policy({}, (), **more))
    assert [one.who for one in found.lost] == ['OIDC ci:{"sub":"a"}', "ServiceAccount shop/*"]


def test_a_host_name_that_goes_is_lost_by_all() -> None:
    """Whoever uses it, whatever they may."""
    found = moved(Shift(), ["old.example.com"], [])
    assert found.lost[0].who == "every client of the host name old.example.com"


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("pier/**", ("pier/x", "pier/x/y")),
        ("pier/app", ("pier/app",)),
        ("*/app", ("jetty/app", "pier/app")),
        ("**", ("jetty/x", "jetty/x/y", "pier/x", "pier/x/y")),
        ("nobody*/x", ()),
        ("pier/-", ()),
    ],
)
def test_examples_of_a_glob_are_repositories_that_it_matches(glob: str, found: tuple[str, ...]) -> None:
    """Each is a valid name in a Namespace that there is."""
    made = tuple(map(str, examples(glob, ["jetty", "pier"])))
    assert made == found
    assert all(matches(glob, one) for one in made)
