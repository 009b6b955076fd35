"""Where to look for what an identity may list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_runtime.auth.decision import decide
from registry_runtime.auth.identity import ANYBODY, Endpoint, Identity
from registry_runtime.auth.sight import sight
from registry_runtime.content.name import NameRange, RepositoryName
from registry_runtime.contract.policy import Access, Action, Claim, Grant, Policy, Token
from registry_runtime.contract.subject import KubernetesProvider
from registry_runtime.storage.paths import escape

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ROBOT = Identity("robot")
LIST = frozenset({Action.LIST})


def policy(globs: list[str], anonymous: list[str], own: list[str], **token: object) -> Policy:
    """A robot that may list by these globs in its own namespaces; `z` is another's."""
    claims = {name: Claim(account="us", owner="us") for name in own}
    return Policy(
        namespaces={**claims, "z": Claim(account="them", owner="them")},
        tokens={
            "robot": Token.model_validate(
                {"account": "us", "owner": "us", "hashes": (), "grants": [grant(globs)], **token}
            )
        },
        anonymous=(grant(anonymous),),
    )


def grant(globs: list[str]) -> Grant:
    return Grant(repositories=tuple(globs), actions=LIST)


@pytest.mark.parametrize(
    ("globs", "expected"),
    [
        (["a/**"], [("a/", "a/~")]),
        (["a/b"], [("a/b", "a/b")]),
        (["a"], [("a", "a")]),
        (["**"], [("a", "a/~"), ("ab", "ab/~")]),
        (["ab*"], [("ab", "ab/~")]),
        (["a/x*/y"], [("a/x", "a/x~")]),
        (["z/**", "c", "nobody/*"], []),
    ],
)
def test_a_robot_looks_into_its_own_namespaces(globs: list[str], expected: list[tuple[str, str]]) -> None:
    """By the beginning of each glob; what is another's is not even looked at."""
    found = sight(policy(globs, [], ["a", "ab"]), ROBOT, now=NOW)
    assert found == tuple(NameRange(*one) for one in expected)


def test_anybody_looks_where_anybody_may() -> None:
    """Without credentials by the anonymous grants only; they are the robot's too."""
    given_ = policy(["a/**"], ["z/open", "z/free/*"], ["a"])
    open_ = (NameRange("z/open", "z/open"), NameRange("z/free/", "z/free/~"))
    assert sight(given_, ANYBODY, now=NOW) == open_
    assert sight(given_, ROBOT, now=NOW) == (*open_, NameRange("a/", "a/~"))


def test_a_guest_looks_where_a_namespace_lets_it_in() -> None:
    """A robot of another account, and a pod: by the globs of the entries that name them."""
    entry = {"repositories": ["z/**", "a/**"], "actions": ["list"], "subjects": ["token:robot", "pod"]}
    shared = Claim.model_validate({"account": "them", "owner": "them", "access": [entry]})
    given_ = policy([], [], ["a"]).model_copy(
        update={"namespaces": {"z": shared}, "kubernetes": KubernetesProvider(audience="here")}
    )
    pod = Identity(provider="kubernetes", subjects=frozenset({"pod"}))
    for guest in (ROBOT, pod):
        assert sight(given_, guest, now=NOW) == (NameRange("z/", "z/~"),)
    assert sight(given_, Identity(provider="kubernetes"), now=NOW) == ()


def test_who_may_nothing_looks_nowhere() -> None:
    """Expired, suspended, unknown, or with rights of another kind."""
    for broken in ({"not_after": NOW - timedelta(seconds=1)}, {"suspended": True}):
        assert sight(policy(["**"], [], ["a"], **broken), ROBOT, now=NOW) == ()
    assert sight(Policy(), ROBOT, now=NOW) == ()
    pulls = Grant(repositories=("**",), actions=frozenset({Action.PULL}))
    assert sight(Policy(anonymous=(pulls,)), ANYBODY, now=NOW) == ()


GLOBS = st.lists(st.text("az-*/", min_size=1, max_size=6), max_size=3)
NAMES = st.from_regex(r"[az]{1,2}(-[az])?(/[az]{1,2}){0,2}", fullmatch=True)


@given(GLOBS, GLOBS, GLOBS, st.lists(st.sampled_from(["a", "aa", "z-a"]), max_size=3), NAMES)
def test_nothing_that_may_be_listed_lies_elsewhere(
    globs: list[str], anonymous: list[str], shared: list[str], own: list[str], name: str
) -> None:
    """Whatever `decide` allows is in a range, in the order in which the storage lists."""
    entry = Access(repositories=tuple(shared), actions=LIST, subjects=("token:robot", "pod"))
    theirs = Claim(account="them", owner="them", access=(entry,))
    usual = policy(globs, anonymous, own)
    given_ = usual.model_copy(
        update={
            "namespaces": {**usual.namespaces, "z": theirs, "za": theirs},
            "kubernetes": KubernetesProvider(audience="here"),
        }
    )
    pod = Identity(provider="kubernetes", subjects=frozenset({"pod"}))
    for identity in (ROBOT, ANYBODY, pod):
        allowed = decide(
            given_, identity, Endpoint.PUBLIC, RepositoryName(name), Action.LIST, now=NOW
        ).allowed
        ranges = sight(given_, identity, now=NOW)
        seen = any(escape(one.first) <= escape(name) <= escape(one.last) for one in ranges)
        assert seen or not allowed
