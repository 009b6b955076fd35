"""Which tokens' entries of a policy are in force everywhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from registry_operator.models import Key
from registry_operator.observed import Propagation
from registry_operator.settling import REMEMBERED, Settling

from registry_runtime.contract.policy import Policy

ONE, OTHER = Key("harbour", "one"), Key("harbour", "other")


def seen(revision: str, *reported: str, unasked: str = "") -> Propagation:
    """What replicas report of the policy whose newest revision this is."""
    pods = {f"pod-{number}": one or None for number, one in enumerate(reported)}
    return Propagation.of(Policy(), revision, pods, frozenset({unasked} - {""}))


def test_a_token_is_settled_when_each_replica_has_its_change_or_a_later_one() -> None:
    """Though no two of them report the same, and none the newest."""
    settling = Settling()
    assert settling.see(seen("1", "0", "0"), {ONE}) == set()
    assert settling.see(seen("2", "1", "0"), {OTHER}) == set()
    assert ONE in settling
    assert settling.see(seen("3", "1", "2"), set()) == {ONE}
    assert ONE not in settling
    assert OTHER in settling
    assert settling.see(seen("3", "3", "2"), set()) == {OTHER}
    assert settling.see(seen("3", "3", "3"), set()) == set()


def test_who_did_not_report_holds_everybody_back() -> None:
    """A replica that does not answer, or was not asked, none at all, and a report that nobody knows."""
    settling = Settling()
    settling.see(seen("1"), {ONE})
    for unclear in (
        seen("1", "1", ""),
        seen("1", "1", unasked="pod-9"),
        seen("1"),
        seen("1", "1", "strange"),
    ):
        assert settling.see(unclear, set()) == set()
    assert settling.see(seen("1", "1"), set()) == {ONE}


def test_a_revision_that_comes_back_is_the_newest() -> None:
    """The same content: who has it from before has what is said now."""
    settling = Settling()
    settling.see(seen("1", "0"), {ONE})
    settling.see(seen("2", "1"), {ONE})
    assert settling.see(seen("1", "1"), {ONE}) == {ONE}


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_nobody_is_settled_before_the_last_replica_is_there(lags: list[int]) -> None:
    """One change a revision, one replica some revisions behind: settled is exactly what it has."""
    settling = Settling()
    for number, lag in enumerate(lags):
        has = max(number - lag, -1)
        settling.see(seen(f"{number}", f"{has}", f"{number}"), {Key("harbour", f"{number}")})
        for other in range(number + 1):
            if other > max(before - lags[before] for before in range(number + 1)):
                assert Key("harbour", f"{other}") in settling
            elif other <= has:
                assert Key("harbour", f"{other}") not in settling


def test_what_is_remembered_is_bounded() -> None:
    """A replica that is further behind than that settles nothing."""
    settling = Settling()
    settling.see(seen("0", "0"), {ONE})
    for number in range(1, REMEMBERED + 1):
        settling.see(seen(f"{number}", "0", "0"), {OTHER})
    assert OTHER in settling
    assert settling.see(seen("last", "last", "last"), set()) == {OTHER}
