"""Who may do what, against a slow and obvious second formulation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_runtime.auth.decision import Reason, decide
from registry_runtime.auth.identity import ANYBODY, Endpoint, Identity
from registry_runtime.auth.scope import Scopes
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.policy import Access, Action, Claim, Grant, Policy, Token, Uses
from registry_runtime.contract.subject import SELF_CHECK, KubernetesProvider

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TOKEN = Token(
    account="team-a",
    owner="uid-a",
    hashes=("00",),
    grants=(Grant(repositories=("team/*",), actions=frozenset({Action.PULL, Action.PUSH})),),
)
POLICY = Policy(
    namespaces={"team": Claim(account="team-a", owner="uid-a"), "other": Claim(account="b", owner="uid-b")},
    tokens={"robot": TOKEN},
)
ROBOT = Identity("robot")
POD = Identity(provider="kubernetes", subjects=frozenset({"serviceaccount:shop/web"}))
NEARBY = Identity("robot", source="10.1.2.3")
PRIVATE = POLICY.model_copy(update={"private_only": True})
SHARED = Policy(
    namespaces={
        "team": Claim(
            account="team-a",
            owner="uid-a",
            access=(
                Access(
                    repositories=("team/**",),
                    actions=frozenset({Action.PULL}),
                    subjects=("serviceaccount:shop/web", "token:guest"),
                ),
            ),
        ),
        "other": Claim(account="b", owner="uid-b"),
    },
    tokens={"guest": TOKEN.model_copy(update={"account": "b", "owner": "uid-b"})},
    kubernetes=KubernetesProvider(audience="here"),
)


def reason(
    policy: Policy = POLICY, identity: Identity = ROBOT, name: str = "team/app", action: Action = Action.PULL
) -> Reason:
    repository = RepositoryName.parse(name)
    return decide(policy, identity, Endpoint.PUBLIC, repository, action, now=NOW).reason


def with_token(**changes: object) -> Policy:
    return POLICY.model_copy(update={"tokens": {"robot": TOKEN.model_copy(update=changes)}})


COUNTED = with_token(uses=Uses(limit=1), grants=(Grant(repositories=("team/*",), actions=frozenset(Action)),))


def test_what_is_granted_is_allowed() -> None:
    """The plain case, so that the refusals below mean something."""
    assert reason() is Reason.GRANTED
    assert reason(action=Action.PUSH) is Reason.GRANTED


@pytest.mark.parametrize(
    ("policy", "identity", "name", "action", "expected"),
    [
        (POLICY, ANYBODY, "team/app", Action.PULL, Reason.CREDENTIALS_MISSING),
        (POLICY, Identity("nobody"), "team/app", Action.PULL, Reason.TOKEN_UNKNOWN),
        (POLICY, ROBOT, "team/app", Action.DELETE, Reason.NOT_GRANTED),
        (POLICY, ROBOT, "team/app/web", Action.PULL, Reason.NOT_GRANTED),
        (POLICY, ROBOT, "other/app", Action.PULL, Reason.OTHER_ACCOUNT),
        (POLICY, ROBOT, "free/app", Action.PULL, Reason.NAMESPACE_UNBOUND),
        (POLICY, Identity("robot", Scopes()), "team/app", Action.PULL, Reason.SCOPE_MISSING),
        (POLICY, Identity("robot", Scopes()), "other/app", Action.PULL, Reason.OTHER_ACCOUNT),
        (POLICY, Identity("robot", lapsed=0), "team/app", Action.PULL, Reason.BEARER_EXPIRED),
        (with_token(suspended=True), ROBOT, "team/app", Action.PULL, Reason.TOKEN_SUSPENDED),
        (with_token(not_after=NOW), ROBOT, "team/app", Action.PULL, Reason.TOKEN_EXPIRED),
        (with_token(networks=("10.0.0.0/8",)), ROBOT, "team/app", Action.PULL, Reason.NETWORK_NOT_ALLOWED),
        (with_token(networks=("x",)), NEARBY, "team/app", Action.PULL, Reason.NETWORK_NOT_ALLOWED),
        (COUNTED, ROBOT, "team/app", Action.DELETE, Reason.USES_DELETE_NOTHING),
        (PRIVATE, ROBOT, "team/app", Action.PULL, Reason.PRIVATE_ONLY),
        (PRIVATE, ROBOT, "team/app", Action.DELETE, Reason.NOT_GRANTED),
        (PRIVATE, ANYBODY, "team/app", Action.PULL, Reason.CREDENTIALS_MISSING),
        (POLICY, POD, "team/app", Action.PULL, Reason.PROVIDER_UNKNOWN),
        (SHARED, POD, "team/app", Action.PUSH, Reason.NOT_GRANTED),
        (SHARED, POD, "other/app", Action.PULL, Reason.NOT_GRANTED),
        (SHARED, POD, "free/app", Action.PULL, Reason.NAMESPACE_UNBOUND),
    ],
)
def test_refusals(policy: Policy, identity: Identity, name: str, action: Action, expected: Reason) -> None:
    """Each refusal has its own reason."""
    assert reason(policy, identity, name, action) is expected


def test_the_repository_of_the_self_check_is_the_replicas_alone() -> None:
    """Whatever is granted; and a replica's own bearer opens no other, nor more of it than its scopes name."""
    anybody = Policy(anonymous=(Grant(repositories=("**",), actions=frozenset(Action)),), private_only=True)
    for name in (SELF_CHECK, f"{SELF_CHECK}/more"):
        for who in (ANYBODY, Identity("guest"), POD):
            open_to_all = SHARED.model_copy(update={"anonymous": anybody.anonymous})
            assert reason(open_to_all, who, name) is Reason.RESERVED
    scopes = Scopes({SELF_CHECK: frozenset(Action), "team/app": frozenset(Action)})
    replica = Identity(scopes=scopes, provider=SELF_CHECK, name="pod")
    assert reason(anybody, replica, SELF_CHECK) is Reason.GRANTED
    assert reason(Policy(), replica, SELF_CHECK, Action.PUSH) is Reason.GRANTED
    assert reason(anybody, replica, SELF_CHECK, Action.DELETE) is Reason.NOT_GRANTED
    assert reason(anybody, replica, f"{SELF_CHECK}/more") is Reason.NOT_GRANTED
    assert reason(anybody, replica, "team/app") is Reason.NOT_GRANTED
    assert reason(anybody, replace(replica, scopes=Scopes()), SELF_CHECK) is Reason.NOT_GRANTED
    assert reason(anybody, replace(replica, scopes=None), SELF_CHECK) is Reason.NOT_GRANTED
    assert reason(anybody, replace(replica, lapsed=1), SELF_CHECK) is Reason.BEARER_EXPIRED


def test_a_namespace_lets_others_in() -> None:
    """A ServiceAccount, and another account's token: to what the Namespace gives them, and no further."""
    assert reason(SHARED, POD) is Reason.GRANTED
    assert reason(SHARED, Identity("guest")) is Reason.GRANTED
    assert reason(SHARED, Identity("guest"), action=Action.PUSH) is Reason.OTHER_ACCOUNT


def test_the_private_domain_serves_what_the_public_one_refuses() -> None:
    """By the door that the request came in through, and for one Namespace as for all."""
    one = POLICY.model_copy(
        update={"namespaces": {"team": Claim(account="team-a", owner="uid-a", private_only=True)}}
    )
    for policy in (PRIVATE, one):
        assert reason(policy) is Reason.PRIVATE_ONLY
        found = decide(
            policy, ROBOT, Endpoint.PRIVATE, RepositoryName.parse("team/app"), Action.PULL, now=NOW
        )
        assert found.reason is Reason.GRANTED


def test_the_catalog_is_the_private_domains_too() -> None:
    """Of a registry that is private only; a login stays possible by both doors."""
    for endpoint, expected in ((Endpoint.PUBLIC, Reason.PRIVATE_ONLY), (Endpoint.PRIVATE, Reason.GRANTED)):
        assert decide(PRIVATE, ROBOT, endpoint, None, Action.LIST, now=NOW).reason is expected
        assert decide(PRIVATE, ROBOT, endpoint, None, Action.PULL, now=NOW).allowed
    assert decide(PRIVATE, ANYBODY, Endpoint.PUBLIC, None, Action.LIST, now=NOW).other_credentials_may_help


def test_a_token_works_from_its_networks() -> None:
    """An address of a subnet, also as IPv6 writes it."""
    policy = with_token(networks=("10.1.0.0/16", "fd00::/8"))
    for source in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1"):
        assert reason(policy, Identity("robot", source=source)) is Reason.GRANTED


def test_a_namespace_made_again_inherits_nothing() -> None:
    """The owner's UID counts, not its name: the same name under another UID is somebody else."""
    policy = POLICY.model_copy(update={"namespaces": {"team": Claim(account="team-a", owner="uid-new")}})
    assert reason(policy) is Reason.OTHER_ACCOUNT


def test_a_grant_beyond_the_own_namespaces_is_worth_nothing() -> None:
    """A token with the glob ** still acts within its own account's Namespaces only."""
    everything = Grant(repositories=("**",), actions=frozenset(Action))
    policy = with_token(grants=(everything,))
    assert reason(policy, name="team/deep/app", action=Action.DELETE) is Reason.GRANTED
    assert reason(policy, name="other/app") is Reason.OTHER_ACCOUNT


def test_anybody_may_what_is_granted_to_anybody() -> None:
    """Without credentials, and with any good ones; but not with bad ones."""
    policy = POLICY.model_copy(
        update={"anonymous": (Grant(repositories=("open/**",), actions=frozenset({Action.PULL})),)}
    )
    assert reason(policy, ANYBODY, "open/app") is Reason.ANYBODY
    assert reason(policy, ROBOT, "open/app") is Reason.ANYBODY
    assert reason(policy, Identity("nobody"), "open/app") is Reason.TOKEN_UNKNOWN
    assert reason(policy, ANYBODY, "open/app", Action.PUSH) is Reason.CREDENTIALS_MISSING


names = st.sampled_from(["a", "a/x", "a/x/y", "b", "b/x", "c/x"])
owners = st.sampled_from(["uid-1", "uid-2"])
actions = st.sampled_from(Action)
grants = st.builds(
    Grant,
    repositories=st.lists(st.sampled_from(["**", "*", "a/*", "a/**", "b", "*/x"]), max_size=2).map(tuple),
    actions=st.frozensets(actions, max_size=3),
)
tokens = st.builds(
    Token,
    account=st.just("n"),
    owner=owners,
    hashes=st.just(()),
    grants=st.lists(grants, max_size=2).map(tuple),
    not_after=st.sampled_from([None, NOW - timedelta(seconds=1), NOW, NOW + timedelta(seconds=1)]),
    suspended=st.booleans(),
    uses=st.none() | st.just(Uses(limit=1)),
    networks=st.sampled_from([(), ("10.1.0.0/16",), ("10.2.0.0/16", "10.1.2.3")]),
)
subjects = st.sampled_from(["token:t", "token:u", "serviceaccount:n/x", "serviceaccount:n/*"])
access = st.builds(
    lambda grant, some: Access(repositories=grant.repositories, actions=grant.actions, subjects=some),
    grants,
    st.lists(subjects, max_size=2).map(tuple),
)
policies = st.builds(
    Policy,
    namespaces=st.dictionaries(
        st.sampled_from(["a", "b"]),
        st.builds(
            Claim,
            account=st.just("n"),
            owner=owners,
            access=st.lists(access, max_size=2).map(tuple),
            private_only=st.booleans(),
        ),
    ),
    kubernetes=st.none() | st.just(KubernetesProvider(audience="here")),
    private_only=st.booleans(),
    tokens=st.dictionaries(st.sampled_from(["t", "u"]), tokens),
    anonymous=st.lists(grants, max_size=1).map(tuple),
)
scopes = st.none() | st.builds(Scopes, st.dictionaries(names, st.frozensets(actions)), st.booleans())
tokens_asking = st.builds(
    Identity,
    st.sampled_from([None, "t", "u", "x"]),
    scopes,
    st.sampled_from([None, 0, 5]),
    source=st.sampled_from(["10.1.2.3", "10.1.2.4", "::ffff:10.1.2.4", "10.9.9.9", ""]),
    timeless=st.booleans(),
)
vouched_for = st.builds(
    Identity,
    st.none(),
    scopes,
    st.sampled_from([None, 0]),
    provider=st.sampled_from(["kubernetes", "gone"]),
    subjects=st.frozensets(st.sampled_from(["serviceaccount:n/x", "serviceaccount:n/*"])),
)
identities = tokens_asking | vouched_for


def meaning(glob: str) -> str:
    return glob.replace("**", "#").replace("*", "[^/]*").replace("#", ".*")


def obviously_allowed(  # noqa: C901, PLR0911 - a condition a line
    policy: Policy, identity: Identity, endpoint: Endpoint, name: str, action: Action
) -> bool:
    """All conditions, each on its own, without order and without reasons."""

    def granted(some: Iterable[Grant]) -> bool:
        return any(
            action in grant.actions and re.fullmatch(meaning(glob), name)
            for grant in some
            for glob in grant.repositories
        )

    if identity.lapsed is not None:
        return False
    if identity.scopes is not None and action not in identity.scopes.repositories.get(name, frozenset()):
        return False
    claim = policy.namespaces.get(name.split("/", maxsplit=1)[0])
    closed = policy.private_only or (claim is not None and claim.private_only)
    if closed and endpoint is Endpoint.PUBLIC:
        return False
    token = policy.tokens.get(identity.token or "")
    if identity.token is not None:
        if token is None or token.suspended:
            return False
        if token.not_after is not None and token.not_after <= NOW and not identity.timeless:
            return False
        near = {"10.1.2.3", *(("10.1.2.4", "::ffff:10.1.2.4") if "10.1.0.0/16" in token.networks else ())}
        if token.networks and identity.source not in near:
            return False
        if token.uses and action is Action.DELETE:
            return False
    if identity.provider and not (identity.provider == "kubernetes" and policy.kubernetes is not None):
        return False
    mine = {f"token:{identity.token}"} if identity.token else identity.subjects
    shared = claim is not None and granted(one for one in claim.access if set(one.subjects) & mine)
    own = claim is not None and token is not None and claim.owner == token.owner and granted(token.grants)
    return own or shared or granted(policy.anonymous)


@given(policies, identities, names, actions, st.sampled_from(Endpoint))
def test_agrees_with_the_obvious(
    policy: Policy, identity: Identity, name: str, action: Action, endpoint: Endpoint
) -> None:
    """Whatever policy, identity and repository: both formulations allow the same."""
    decision = decide(policy, identity, endpoint, RepositoryName.parse(name), action, now=NOW)
    assert decision.allowed is bool(obviously_allowed(policy, identity, endpoint, name, action))
    assert decision.endpoint is endpoint
    assert not (decision.allowed and decision.other_credentials_may_help)
