"""Why was I denied? Whoever may know is told, by which rule or by which that is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from registry_runtime.contract import subject
from registry_runtime.contract.credential import Password
from registry_runtime.contract.policy import Action
from tests.api.accounts import enforce, granted
from tests.api.client import Answer, basic
from tests.api.replica import EVERYTHING, READER, ROBOT, STRANGER, Replica, closed, token

GUEST = Password.generate("3" * 16)  # of another account; Manager of team/shared/**, by the Namespace


def ask(replica: Replica, password: Password | None, listener: str = "public", **query: str) -> Answer:
    client = replica.client(None, listener)
    headers = basic(password.text) if password is not None else {}
    return client.raw("GET", f"/v2/_roadstead/why?{urlencode(query)}", headers=headers)


def why(replica: Replica, password: Password, **query: str) -> dict[str, Any]:
    answer = ask(replica, password, **query)
    assert answer.status == 200, answer.body
    read: dict[str, Any] = answer.json()
    return read


@pytest.fixture(scope="module")
def shared(replica: Replica) -> Iterator[Replica]:
    """A replica with accounts: `team` shares a part of itself with a guest, `mirror` is private only."""
    if not replica.secure:
        pytest.skip("anybody may do everything")
    usual = closed()
    team = usual.namespaces["team"].model_copy(
        update={"access": (granted(EVERYTHING, subject.token(GUEST.id), globs=("team/shared/**",)),)}
    )
    mirror = usual.namespaces["mirror"].model_copy(update={"private_only": True})
    policy = usual.model_copy(
        update={
            "namespaces": usual.namespaces | {"team": team, "mirror": mirror},
            "tokens": usual.tokens | {GUEST.id: token(GUEST, "guests", "**", EVERYTHING)},
        }
    )
    enforce(policy, replica)
    yield replica
    enforce(usual, replica)


def test_one_is_told_of_oneself(shared: Replica) -> None:
    """By which rule it is allowed, or what to write so that it will be; and under which policy."""
    yes = why(shared, READER, repository="team/app")
    assert (yes["allowed"], yes["reason"], yes["missing"]) == (True, "Granted", None)
    assert yes["rule"] == f"AccessToken {READER.id}, spec.permissions[0]: pull in team/**"
    no = why(shared, READER, repository="team/app", action="push")
    assert (no["allowed"], no["reason"], no["rule"]) == (False, "NotGranted", None)
    assert yaml.safe_load(no["missing"]["yaml"]) == [{"repositories": ["team/app"], "actions": ["push"]}]
    assert READER.id in no["missing"]["where"]
    assert no["revision"] == yes["revision"]
    assert len(no["revision"]) == 16
    by_role = why(shared, GUEST, repository="team/shared/app", action="delete")
    assert by_role["rule"].startswith(f"Namespace team, spec.access: token:{GUEST.id}: ")


def test_a_bearer_asks_as_its_token(shared: Replica) -> None:
    """Whatever it was asked for: what the client may is in question, not what its bearer is for."""
    client = shared.client(READER)
    bearer = client.login(client.raw("GET", "/v2/"))
    path = "/v2/_roadstead/why?repository=team/app"
    answer = client.raw("GET", path, headers={"Authorization": f"Bearer {bearer}"})
    assert (answer.status, answer.json()["allowed"]) == (200, True)


def test_the_other_endpoint_can_be_asked_about(shared: Replica) -> None:
    """What the private domain alone serves is told as such, by either door."""
    no = why(shared, ROBOT, repository="mirror/app")
    assert (no["allowed"], no["reason"], no["endpoint"]) == (False, "PrivateOnly", "public")
    assert why(shared, ROBOT, repository="mirror/app", endpoint="private")["allowed"]
    assert ask(shared, ROBOT, "private", repository="mirror/app").json()["allowed"]


def test_a_stranger_learns_nothing(shared: Replica) -> None:
    """A Namespace of somebody else and one of nobody get the same answer, but for the name."""
    theirs, nobodys = (
        ask(shared, READER, repository=f"{name}/app", action="push").body.decode().replace(name, "x")
        for name in ("foreign", "nobodys")
    )
    assert theirs == nobodys
    assert "NotGranted" in theirs


def test_only_who_manages_a_repository_asks_about_others(shared: Replica) -> None:
    """Everywhere else it is refused, whether or not there is such a repository or such a token."""
    about = {"identity": f"token:{STRANGER.id}", "action": "pull"}
    told = why(shared, GUEST, repository="team/shared/app", **about)
    assert (told["allowed"], told["reason"], told["identity"]) == (False, "OtherAccount", STRANGER.id)
    assert "namespace: theirs" in told["missing"]["yaml"]
    assert why(shared, ROBOT, repository="team/app", **about)["reason"] == "OtherAccount"
    for password, repository in ((GUEST, "team/app"), (READER, "team/app"), (GUEST, "nobodys/app")):
        for identity in (f"token:{STRANGER.id}", "token:nobody", "serviceaccount:a/b", "anybody"):
            refused = ask(shared, password, repository=repository, identity=identity)
            assert (refused.status, refused.code) == (403, "DENIED")
            assert b"only who manages" in refused.body


def test_who_is_nobody_is_told_nothing(shared: Replica) -> None:
    """Without credentials a challenge, with wrong ones a refusal."""
    assert ask(shared, None, repository="team/app").status == 401
    assert ask(shared, Password.generate(READER.id), repository="team/app").status == 401


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"repository": "Team"},
        {"repository": "team/app", "action": "burn"},
        {"repository": "team/app", "endpoint": "back"},
        {"repository": "team/app", "identity": "nobody:x"},
        {"repository": "team/app", "identity": "serviceaccount:x"},
        {"repository": "team/app", "identity": "oidc:none:{}"},
    ],
)
def test_a_question_that_is_none(shared: Replica, query: dict[str, str]) -> None:
    """A sentence that says which parameter is wrong."""
    answer = ask(shared, ROBOT, **query)
    assert (answer.status, answer.code) in {(400, "UNSUPPORTED"), (400, "NAME_INVALID")}


def test_the_platform_asks_about_anybody(shared: Replica) -> None:
    """By the internal port, which lets in who has the operator's certificate."""
    client = shared.operator()

    def told(**query: str) -> Answer:
        return client.raw("GET", f"/why?{urlencode(query)}")

    no = told(identity=f"token:{READER.id}", repository="foreign/app").json()
    assert (no["allowed"], no["reason"]) == (False, "OtherAccount")
    assert told(identity="anybody", repository="team/app").json()["reason"] == "CredentialsMissing"
    assert told(identity="serviceaccount:a/b", repository="team/app").json()["reason"] == "ProviderUnknown"
    assert told(repository="team/app").status == 400
    assert told(identity="anybody").status == 400


def test_a_question_is_told_as_such(shared: Replica) -> None:
    """The record says who asked, and what about whom."""
    answer = ask(shared, GUEST, repository="team/shared/app", identity=f"token:{READER.id}", action="push")
    (record,) = [one for one in shared.lines("request") if one["request"] == answer["X-Request-Id"]]
    assert (record["event"], record["who"], record["repository"]) == ("why", GUEST.id, "team/shared/app")
    assert record["asked"] == {"identity": READER.id, "action": "push", "reason": "NotGranted"}


def test_every_action_is_a_word_of_the_question(shared: Replica) -> None:
    """And each is answered."""
    for action in Action:
        assert why(shared, ROBOT, repository="team/app", action=action)["action"] == action
