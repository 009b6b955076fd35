"""Who owns a name."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from registry_operator import names
from registry_operator.claims import Outcome, settle
from registry_operator.models import Namespace
from registry_operator.observed import KubernetesNamespace

from registry_runtime.contract.policy import Claim
from tests.unit.operator.harbour import MADE, accounts, claim, registry

ALL = {"allowedNamespaces": {"from": "All"}}


def test_the_oldest_claim_wins_and_is_persisted() -> None:
    """Of two claims that nobody has decided yet the older one gets the name, and the ConfigMap says so."""
    younger = claim(account="east", creationTimestamp=(MADE + timedelta(seconds=1)).isoformat())
    older = claim(account="west")
    settled = settle(registry(**ALL), [younger, older], accounts("east", "west"), {})
    assert settled.outcomes == {older.meta.uid: Outcome.BOUND, younger.meta.uid: Outcome.NAME_TAKEN}
    assert settled.bound == {"pier-one": Claim(account="west", owner="uid-of-west")}
    assert settled.data == {"pier-one": '{"account":"west","owner":"uid-of-west"}'}


def test_what_was_won_is_kept_against_an_older_resource() -> None:
    """A persisted owner wins over a claim that looks older: clocks and restored backups decide nothing."""
    first, restored = claim(account="east"), claim(account="west", creationTimestamp="2020-01-01T00:00:00Z")
    persisted = settle(registry(**ALL), [first], accounts("east", "west"), {}).data
    settled = settle(registry(**ALL), [first, restored], accounts("east", "west"), persisted)
    assert settled.outcomes[first.meta.uid] is Outcome.BOUND
    assert settled.outcomes[restored.meta.uid] is Outcome.NAME_TAKEN


def test_a_name_stays_with_its_account_when_the_namespace_is_deleted() -> None:
    """Content is still in the bucket: nobody inherits it before the Registry's owner releases the name."""
    persisted = settle(registry(**ALL), [claim(account="east")], accounts("east", "west"), {}).data
    heir = claim(account="west")
    kept = settle(registry(**ALL), [heir], accounts("east", "west"), persisted)
    assert kept.outcomes[heir.meta.uid] is Outcome.NAME_TAKEN
    assert kept.bound == {}
    assert kept.data == persisted

    released = registry({"annotations": {names.RELEASE: "other, pier-one"}}, **ALL)
    after = settle(released, [heir], accounts("east", "west"), persisted)
    assert after.outcomes[heir.meta.uid] is Outcome.BOUND


def test_release_takes_nothing_from_an_owner_that_claims_it() -> None:
    """The annotation is for names that nobody holds: it may stand there for ever."""
    owner, rival = claim(account="west"), claim(account="east", creationTimestamp="2020-01-01T00:00:00Z")
    persisted = settle(registry(**ALL), [owner], accounts("west"), {}).data
    released = registry({"annotations": {names.RELEASE: "pier-one"}}, **ALL)
    settled = settle(released, [owner, rival], accounts("east", "west"), persisted)
    assert settled.outcomes == {owner.meta.uid: Outcome.BOUND, rival.meta.uid: Outcome.NAME_TAKEN}


def test_a_kubernetes_namespace_made_again_inherits_nothing() -> None:
    """The same name with another UID is another account, until the name is released."""
    persisted = settle(registry(), [claim()], accounts(), {}).data
    again = {"harbour": KubernetesNamespace("harbour", "uid-of-another")}
    settled = settle(registry(), [claim()], again, persisted)
    assert settled.outcomes[claim().meta.uid] is Outcome.OWNER_CHANGED
    assert settled.bound == {}
    released = registry({"annotations": {names.RELEASE: "pier-one"}})
    after = settle(released, [claim()], again, persisted)
    assert after.bound["pier-one"].owner == "uid-of-another"


def test_one_account_claims_a_name_once() -> None:
    """A second Namespace of the same account is told so, and the name is bound once."""
    first, second = claim(called="a"), claim(called="b")
    settled = settle(registry(), [second, first], accounts(), {})
    assert settled.outcomes == {first.meta.uid: Outcome.BOUND, second.meta.uid: Outcome.DUPLICATE}


def test_only_accounts_that_are_let_in_take_part() -> None:
    """`Same`, `Selector` and a namespace that is going away."""
    mine, foreign = claim(), claim(account="east", creationTimestamp="2020-01-01T00:00:00Z")
    settled = settle(registry(), [mine, foreign], accounts("east"), {})
    assert settled.outcomes == {mine.meta.uid: Outcome.BOUND, foreign.meta.uid: Outcome.NOT_ALLOWED}

    chosen = registry(allowedNamespaces={"from": "Selector", "selector": {"matchLabels": {"team": "east"}}})
    labelled = accounts("east", team="west") | {"east": KubernetesNamespace("east", "u", {"team": "east"})}
    settled = settle(chosen, [mine, foreign], labelled, {})
    assert settled.outcomes == {mine.meta.uid: Outcome.NOT_ALLOWED, foreign.meta.uid: Outcome.BOUND}

    going = {"harbour": KubernetesNamespace("harbour", "uid-of-harbour", terminating=True)}
    assert settle(registry(), [mine], going, {}).outcomes[mine.meta.uid] is Outcome.NOT_ALLOWED


def test_what_somebody_wrote_into_the_configmap_gives_the_name_to_nobody() -> None:
    """A broken entry must not open a name that has content: releasing it is the way out."""
    settled = settle(registry(), [claim()], accounts(), {"pier-one": "east"})
    assert settled.outcomes[claim().meta.uid] is Outcome.NAME_TAKEN
    released = registry({"annotations": {names.RELEASE: "pier-one"}})
    after = settle(released, [claim()], accounts(), {"pier-one": "east"})
    assert after.outcomes[claim().meta.uid] is Outcome.BOUND


def test_a_namespace_that_is_being_deleted_holds_nothing() -> None:
    """It is out of the policy at once, its name stays reserved."""
    going = claim(deletionTimestamp=MADE.isoformat())
    settled = settle(registry(), [going], accounts(), {})
    assert (settled.outcomes, settled.bound) == ({}, {})


CLAIMS = st.lists(
    st.builds(
        lambda name, account, called, age: claim(
            name, account, f"{called}", creationTimestamp=(MADE + timedelta(seconds=age)).isoformat()
        ),
        st.sampled_from(["pier-one", "pier-two"]),
        st.sampled_from(["harbour", "east", "west"]),
        st.integers(0, 4),
        st.integers(0, 2),
    ),
    unique_by=lambda one: one.meta.uid,
    max_size=12,
)


@given(CLAIMS, CLAIMS, st.randoms())
def test_each_claimed_name_has_exactly_one_winner_that_stays(
    before: list[Namespace], after: list[Namespace], random: Random
) -> None:
    """Whatever was claimed, in whatever order: one winner a name, kept while it lives."""
    known = accounts("east", "west")
    first = settle(registry(**ALL), before, known, {})
    winners = [one.spec.name for one in before if first.outcomes[one.meta.uid] is Outcome.BOUND]
    assert Counter(winners) == Counter({one.spec.name for one in before})
    assert set(winners) == set(first.bound)

    every = list({one.meta.uid: one for one in (*after, *before)}.values())
    random.shuffle(every)
    second = settle(registry(**ALL), every, known, first.data)
    for name, owner in first.bound.items():
        assert second.owners[name] == owner
    assert second == settle(registry(**ALL), reversed(every), known, first.data)
