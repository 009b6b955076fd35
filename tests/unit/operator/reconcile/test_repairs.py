"""What is told of a repair, and how often."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from registry_operator.models import Key
from registry_operator.reconcile.drift import covers, differences, text
from registry_operator.reconcile.repairs import CONTESTED, EVERY, FIGHT, PERIOD, REPAIRED, Drift, Repairs, who

SERVICE = Drift("Service", Key("harbour", "harbour"), (("spec", "type"),), "kubectl-edit")
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@given(JSON, JSON)
def test_a_difference_is_what_is_not_covered(have: Any, want: Any) -> None:
    """There is a path exactly where an object is not as it was applied."""
    assert bool(differences(have, want)) is not covers(have, want)


def test_paths_name_fields_and_no_values() -> None:
    """A list of another length is one field."""
    have = {"spec": {"type": "NodePort", "ports": [{"port": 443}], "hosts": ["a", "b"]}, "more": 1}
    want = {"spec": {"type": "ClusterIP", "ports": [{"port": 444}], "hosts": ["a"], "policy": "Local"}}
    found = [text(path) for path in differences(have, want)]
    assert found == ["spec.type", "spec.ports[0].port", "spec.hosts", "spec.policy"]
    assert text(("data", "ca.crt")) == "data['ca.crt']"


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (("spec", "type"), "kubectl-edit"),
        (("spec", "ports", 0, "port"), "argocd"),
        (("spec", "selector", "x"), ""),
        (("data", "a.b"), ""),
    ],
)
def test_the_manager_of_a_field_is_known(field: tuple[str | int, ...], found: str) -> None:
    """Ours is not meant, nor who writes the status; in lists the field sets have keys of their own."""
    fields: dict[str, Any] = {"f:spec": {"f:type": {}, "f:ports": {}}}
    managed = [
        {"manager": "kubectl-edit", "fieldsV1": {"f:spec": {"f:type": {}}}},
        {"manager": "argocd", "fieldsV1": {"f:spec": {"f:ports": {'k:{"port":443}': {"f:port": {}}}}}},
        {"manager": "roadstead", "fieldsV1": fields},
        {"manager": "controller", "subresource": "status", "fieldsV1": fields},
    ]
    assert who(managed, [field]) == found


def test_one_repair_is_told_with_object_fields_and_hand() -> None:
    """The sentence is what an operator looks for at night."""
    note = Repairs().note(SERVICE, 0, "Registry")
    assert note
    assert (note.type, note.reason) == ("Normal", REPAIRED)
    assert note.note == "Service harbour/harbour: spec.type was changed by kubectl-edit; it is as it was"
    gone = Repairs().note(Drift("Secret", Key("harbour", "harbour-ca")), 0, "Registry")
    assert gone
    assert gone.note == "Secret harbour/harbour-ca was deleted by another hand; it was made again"


def test_a_fight_is_named_and_does_not_flood() -> None:
    """Of a thousand repairs in a thousand seconds one a minute is told, and none is lost from the count."""
    repairs = Repairs()
    told = [(now, note) for now in range(1000) if (note := repairs.note(SERVICE, now, "Registry"))]
    fights = [(now, note) for now, note in told if note.reason == CONTESTED]
    assert len(told) - len(fights) == FIGHT - 1
    assert all(note.type == "Warning" and "kubectl-edit" in note.note for _, note in fights)
    assert len(fights) <= 1000 / EVERY + 1
    assert sum(note.count for _, note in fights) == fights[-1][0] - (FIGHT - 1) + 1


def test_a_password_that_is_another_is_told_as_such() -> None:
    """Who deletes a token's Secret asks for another; and what has no pause is not told to be paused."""
    secret = Drift("Secret", Key("harbour", "deployer"), anew=True)
    repairs = Repairs()
    told = [repairs.note(secret, now, "AccessToken") for now in range(FIGHT)]
    assert told[0]
    assert told[0].note == ("Secret harbour/deployer was deleted by another hand; another password was made")
    assert told[-1]
    assert told[-1].note.endswith("again and again: stop the other one")


def test_seldom_repairs_are_no_fight() -> None:
    """Each is told for itself, and of another object the count begins anew."""
    repairs = Repairs()
    seldom = [repairs.note(SERVICE, number * PERIOD, "Registry") for number in range(10)]
    assert {note.reason for note in seldom if note} == {REPAIRED}
    assert len(seldom) == 10
    many = [Drift("Service", Key("a", str(number)), (("spec",),)) for number in range(2000)]
    others = [repairs.note(drift, 0, "Registry") for drift in many]
    assert all(note and note.reason == REPAIRED for note in others)
