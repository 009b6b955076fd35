"""What a replica remembers of who used it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry_runtime import activity as module
from registry_runtime.activity import KINDS, PAGE, PARTIES, ActivityBoard, Refused
from registry_runtime.auth.decision import Reason
from registry_runtime.contract.activity import Activity
from registry_runtime.contract.policy import Action, Claim, Policy, Token

CLAIM = Claim(account="ours", owner="ours")


def robot(number: int) -> str:
    return f"{number:016}"


def token() -> Token:
    return Token(account="ours", owner="ours", hashes=(), grants=())


@dataclass
class World:
    """A board with a clock and a policy that a test sets."""

    tokens: int = 3
    second: float = 1000.0
    spent: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tokens = {robot(number): token() for number in range(self.tokens)}
        self.policy = Policy(tokens=tokens, namespaces={"team": CLAIM, "shop": CLAIM})
        self.board = self.restarted()

    def restarted(self) -> ActivityBoard:
        return ActivityBoard(lambda: self.policy, lambda: self.spent, lambda: self.second)

    def read(self, cursor: str | None = None) -> tuple[list[Activity], str]:
        """All pages after the cursor."""
        pages = [self.board.changes(cursor)]
        while pages[-1].more:
            pages.append(self.board.changes(pages[-1].cursor))
        return pages, pages[-1].cursor

    def used(self, cursor: str | None = None) -> tuple[dict[str, int], str]:
        pages, last = self.read(cursor)
        return {id_: second for page in pages for id_, second in page.used.items()}, last


def refused(who: str | None = robot(0), repository: str = "team/app", **changes: Any) -> Refused:
    namespace = repository.partition("/")[0]
    made = Refused(who, "", namespace, repository, Action.PULL, Reason.NOT_GRANTED, "public")
    return made._replace(**changes)


def test_a_use_is_told_once_with_its_second() -> None:
    """What was told is told again only when there is another use."""
    world = World()
    world.board.use(robot(0))
    world.board.use(robot(0))
    told, cursor = world.used()
    assert told == {robot(0): 1000}
    assert world.used(cursor) == ({}, cursor)
    world.second = 1007.9
    world.board.use(robot(1))
    told, cursor = world.used(cursor)
    assert told == {robot(1): 1007}
    assert world.used()[0] == {robot(0): 1000, robot(1): 1007}
    assert world.used(f"{cursor}9999")[0] == {robot(0): 1000, robot(1): 1007}


def test_time_never_goes_back() -> None:
    """A clock that was set back makes no use older than the one before."""
    world = World()
    world.board.use(robot(0))
    world.board.fold()
    world.second = 10
    world.board.use(robot(0))
    assert world.used()[0] == {robot(0): 1000}


def test_a_restart_is_another_epoch() -> None:
    """A cursor of the life before, or nonsense, leads to all that is known now."""
    world = World()
    world.board.use(robot(0))
    _, cursor = world.used()
    world.board = world.restarted()
    world.board.use(robot(1))
    for old in (cursor, "nonsense", "", f"{cursor}1", cursor.partition(".")[0] + ".²", "." * 70):
        assert world.used(old)[0] == {robot(1): 1000}


def test_more_than_a_page_comes_in_pages() -> None:
    """Each entry in one of them, and what changes meanwhile comes again."""
    world = World(tokens=2 * PAGE + 5)
    for number in range(world.tokens):
        world.board.use(robot(number))
    first = world.board.changes(None)
    assert (len(first.used), first.more) == (PAGE, True)
    again = next(iter(first.used))
    world.second += 1
    world.board.use(again)
    rest, cursor = world.used(first.cursor)
    assert len(rest) == PAGE + 5 + 1
    assert rest[again] == 1001
    assert first.used.keys() | rest.keys() == world.policy.tokens.keys()
    assert world.used(cursor)[0] == {}


def test_only_tokens_of_the_policy_are_kept() -> None:
    """Neither identities that somebody vouches for, nor a token that is gone when others come."""
    world = World()
    for number in range(1000):
        world.board.use(f"github:job-{number}")
    world.board.use(robot(0))
    world.board.fold()
    world.policy = Policy(tokens={robot(1): token()})
    world.board.use(robot(1))
    assert world.used()[0] == {robot(1): 1000}


def test_spent_uses_are_told_when_they_change() -> None:
    """As a number that grows, of tokens that are there."""
    world = World()
    world.spent = {robot(0): 1, robot(1): 0, "f" * 16: 1}
    first = world.board.changes(None)
    assert first.spent == {robot(0): 1, robot(1): 0}
    assert world.board.changes(first.cursor).spent == {}
    world.spent = {robot(0): 1, robot(1): 5}
    assert world.board.changes(first.cursor).spent == {robot(1): 5}


def test_a_refusal_is_counted_by_its_kind() -> None:
    """With the time of the last one; another repository, action or door is another kind."""
    world = World()
    world.board.fold()
    for one in (refused(), refused(), refused(repository="team/other"), refused(endpoint="private")):
        world.board.refuse(one)
    found = world.board.changes(None)
    assert sorted((one.repository, one.endpoint, one.count, one.last) for one in found.refusals) == [
        ("team/app", "private", 1, 1000),
        ("team/app", "public", 2, 1000),
        ("team/other", "public", 1, 1000),
    ]
    world.board.refuse(refused())
    (again,) = world.board.changes(found.cursor).refusals
    assert (again.repository, again.count) == ("team/app", 3)


def test_what_a_client_gets_over_by_itself_is_no_refusal() -> None:
    """An old bearer, one of another scope, and a 403 that is no matter of rights."""
    world = World()
    for reason in (Reason.BEARER_EXPIRED, Reason.SCOPE_MISSING, Reason.PROVIDER_UNKNOWN, Reason.GRANTED):
        world.board.refuse(refused(reason=reason))
    assert world.board.changes(None).refusals == ()


def test_names_that_nobody_owns_are_kept_for_tokens_only() -> None:
    """A robot that mistypes its Namespace is told which; what others write leaves no trace."""
    world = World()
    world.board.refuse(refused(None, "nobodys/thing"))
    world.board.refuse(refused("f" * 16, "nobodys/thing"))
    assert world.board.changes(None).refusals == ()
    world.board.refuse(refused(robot(0), "nobodys/thing"))
    (kept,) = world.board.changes(None).refusals
    assert (kept.namespace, kept.repository) == ("", "nobodys/thing")


Flood = tuple[str | None, str, Reason]
names = st.sampled_from(["team", "shop", "other", ""]).flatmap(
    lambda first: st.integers(0, 300).map(lambda number: f"{first}/r{number}")
)
floods = st.lists(
    st.tuples(st.none() | st.integers(0, 600).map(robot), names, st.sampled_from(list(Reason))), max_size=60
)


@given(floods, st.integers(1, 40))
def test_a_flood_of_refusals_is_bounded_and_stays_with_its_like(flood: list[Flood], times: int) -> None:
    """Whatever clients ask for, each party has its few kinds, and nobody pushes out a robot's."""
    world = World(tokens=400)
    mine = refused(robot(0), "team/mine")
    world.board.refuse(mine)
    for round_ in range(times):
        for who, name, reason in flood:
            if who != robot(0):
                world.board.refuse(refused(who, f"{name}-{round_}", reason=reason))
    world.board.refuse(mine)
    found = [one for page in world.read()[0] for one in page.refusals]
    assert len(found) <= 2 * PARTIES * KINDS
    for party in {one.token for one in found} - {None}:
        assert sum(one.token == party for one in found) <= KINDS
    for namespace in ("team", "shop"):
        assert sum(one.token is None and one.namespace == namespace for one in found) <= KINDS
    assert {one.repository for one in found if one.token == robot(0)} == {"team/mine"}
    assert all(one.namespace or one.token for one in found)


def test_who_was_refused_longest_ago_goes_first() -> None:
    """The last that were refused are there, each with its last kinds."""
    world = World(tokens=PARTIES + 10)
    for number in range(world.tokens):
        for kind in range(KINDS + 3):
            world.board.refuse(refused(robot(number), f"team/r{kind}"))
    found = [one for page in world.read()[0] for one in page.refusals]
    assert {one.token for one in found} == {robot(number) for number in range(10, world.tokens)}
    assert {one.repository for one in found} == {f"team/r{kind}" for kind in range(3, KINDS + 3)}


def test_the_largest_page_is_less_than_the_operator_reads() -> None:
    """1 MiB, with names as long as they may be."""
    world = World(tokens=PARTIES)
    long = "team/" + "a" * 250
    for number in range(PARTIES):
        for kind in range(KINDS):
            world.board.refuse(refused(robot(number), f"{long[: 255 - 4]}{kind:04}"))
    pages, _ = world.read()
    assert len(pages[0].refusals) == module.PAGE
    assert max(len(page.model_dump_json()) for page in pages) < 1024 * 1024
