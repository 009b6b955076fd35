"""What a replica tells the operator of who used it, and of what it refused."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from registry_runtime.contract.activity import Activity, Refusal
from registry_runtime.contract.credential import Password
from registry_runtime.contract.policy import Action, Policy, Uses
from tests.api.accounts import enforce
from tests.api.client import Client, basic
from tests.api.replica import READER, ROBOT, STRANGER, Replica, closed, token

ONCE = Password.generate("3" * 16)
OVER = Password.generate("4" * 16)
WRONG = Password.generate(ROBOT.id)
PULLS = frozenset({Action.PULL, Action.PUSH})


@dataclass
class Operator:
    """Asks as the operator does, each time for what is new."""

    replica: Replica
    cursor: str = ""

    def __post_init__(self) -> None:
        self.client = self.replica.operator()

    def news(self) -> Activity:
        answer = self.client.raw("GET", f"/activity?after={quote(self.cursor)}")
        assert answer.status == 200
        told = Activity.model_validate_json(answer.body)
        self.cursor = told.cursor
        return told

    def refusals(self) -> list[tuple[str | None, str, str, str | None, str]]:
        return sorted(map(_short, self.news().refusals), key=str)


def _short(one: Refusal) -> tuple[str | None, str, str, str | None, str]:
    return one.token, one.reason, one.repository, one.action, one.endpoint


def policy() -> Policy:
    usual = closed()
    once = token(ONCE, "ours", "team/**", PULLS, uses=Uses(limit=2))
    over = token(OVER, "ours", "team/**", PULLS, not_after=datetime.now(UTC) - timedelta(days=1))
    return usual.model_copy(update={"tokens": {**usual.tokens, ONCE.id: once, OVER.id: over}})


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    directory = tmp_path_factory.mktemp("activity")
    storage = {"kind": "directory", "path": str(directory / "data")}
    with Replica(directory, storage, secure=True) as running:
        enforce(policy(), running)
        yield running


@pytest.fixture
def operator(replica: Replica) -> Operator:
    """One that has heard all that other tests did."""
    heard = Operator(replica)
    heard.news()
    return heard


def login(replica: Replica, scope: str = "", headers: dict[str, str] | None = None) -> int:
    query = f"?scope={quote(scope)}" if scope else ""
    return replica.client().raw("GET", f"/token{query}", headers=headers or {}).status


def pull(client: Client, repository: str = "team/app") -> int:
    return client.send("GET", f"/v2/{repository}/manifests/1").status


def test_logins_pushes_and_pulls_are_uses(replica: Replica, operator: Operator) -> None:
    """Of each token when it was last let in, also where a pull is recalled, and of each only once."""
    before = int(time.time())
    robot = replica.client()
    robot.push_image("1")
    assert login(replica, headers=basic(READER.text)) == 200
    told = operator.news()
    assert told.used.keys() == {ROBOT.id, READER.id}
    assert all(before - 1 <= second <= time.time() for second in told.used.values())
    assert operator.news().used == {}
    for _ in range(3):
        assert pull(robot, robot.repository) == 200
    assert operator.news().used.keys() == {ROBOT.id}
    assert told.refusals == ()


def test_who_is_refused_has_not_used_it(replica: Replica, operator: Operator) -> None:
    """A wrong password, a token that has ended, and nobody at all leave no time."""
    assert login(replica, headers=basic(WRONG.text)) == 401
    assert login(replica, headers=basic(OVER.text)) == 401
    assert pull(replica.client(None)) == 401
    assert operator.news().used == {}


def test_the_first_question_of_a_client_is_no_refusal(replica: Replica, operator: Operator) -> None:
    """It is told where to log in; that it could not is told by the token endpoint, with what it wanted."""
    assert pull(replica.client(None)) == 401
    assert operator.refusals() == []
    assert login(replica, "repository:team/app:pull,push") == 401
    assert operator.refusals() == [(None, "CredentialsMissing", "team/app", "push", "public")]


def test_what_is_refused_is_told_with_its_reason(replica: Replica, operator: Operator) -> None:
    """Which token, where, by which door: of a right that lacks, of another account, of one that has ended."""
    reader, stranger = replica.client(READER), replica.client(STRANGER, "private")
    assert reader.send("POST", "/v2/team/app/blobs/uploads/").status == 403
    assert pull(stranger) == 403
    assert pull(stranger, "nobodys/app") == 403
    assert login(replica, headers=basic(OVER.text)) == 401
    assert login(replica, "repository:team/app:pull", basic(OVER.text)) == 401
    assert login(replica, "repository:team/app:pull", basic(WRONG.text)) == 401
    assert login(replica, headers=basic(WRONG.text)) == 401  # neither of a token nor of a Namespace
    assert operator.refusals() == sorted(
        [
            (READER.id, "NotGranted", "team/app", "push", "public"),
            (STRANGER.id, "OtherAccount", "team/app", "pull", "private"),
            (STRANGER.id, "NamespaceUnbound", "nobodys/app", "pull", "private"),
            (OVER.id, "TokenExpired", "", None, "public"),
            (OVER.id, "TokenExpired", "team/app", "pull", "public"),
            (None, "TokenUnknown", "team/app", "pull", "public"),
        ],
        key=str,
    )


def test_refusals_are_counted(replica: Replica, operator: Operator) -> None:
    """From the replica's start on; what is new is told again."""
    reader = replica.client(READER)
    for _ in range(3):
        assert reader.send("DELETE", "/v2/team/counted/manifests/1").status == 403
    (one,) = operator.news().refusals
    assert (one.action, one.count) == ("delete", 3)
    assert operator.news().refusals == ()
    assert reader.send("DELETE", "/v2/team/counted/manifests/1").status == 403
    (one,) = operator.news().refusals
    assert one.count == 4


def test_uses_that_are_spent_are_told(replica: Replica, operator: Operator) -> None:
    """One after the first image, two after the second, and the third is a refusal."""
    once = replica.client(ONCE)
    once.push_image("1")
    assert operator.news().spent == {ONCE.id: 1}
    once.push_image("2")
    assert operator.news().spent == {ONCE.id: 2}
    with pytest.raises(AssertionError):
        once.push_image("3")
    told = operator.news()
    assert told.spent == {}
    assert {(one.token, one.reason) for one in told.refusals} == {(ONCE.id, "UsesSpent")}


def test_after_a_restart_a_cursor_of_before_leads_to_everything(tmp_path: Path) -> None:
    """The operator need not know that it was another process."""
    storage = {"kind": "directory", "path": str(tmp_path / "data")}
    with Replica(tmp_path, storage, secure=True) as own:
        operator = Operator(own)
        assert login(own, headers=basic(ROBOT.text)) == 200
        first = operator.news()
        own.kill()
        own.start()
        operator = Operator(own, first.cursor)
        assert login(own, headers=basic(READER.text)) == 200
        second = operator.news()
        assert second.epoch != first.epoch
        assert [*first.used, *second.used] == [ROBOT.id, READER.id]


def test_nobody_waits_for_news_of_uses(replica: Replica, operator: Operator) -> None:
    """The long poll of the state goes on, whoever pulls; and only the operator may ask."""
    state: dict[str, Any] = operator.client.raw("GET", "/state").json()
    answers: list[dict[str, Any]] = []
    path = f"/state?after={state['version']}&wait=1"
    poll = threading.Thread(target=lambda: answers.append(operator.client.raw("GET", path).json()))
    poll.start()
    while poll.is_alive():
        assert login(replica, headers=basic(ROBOT.text)) == 200
    poll.join()
    assert answers == [state]
    for listener in ("public", "private"):
        stranger = replica.client(None, listener)
        assert stranger.raw("GET", "/activity", headers=basic(ROBOT.text)).status == 404
    trust = ssl.create_default_context(cafile=str(replica.authority.file))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Client("127.0.0.1", replica.ports["internal"], trust).raw("GET", "/activity")
