"""What is said of a rotation."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from registry_operator.checks.access_token import due, is_over, judge
from registry_operator.checks.rotation import LATE
from registry_operator.desired import rotation
from registry_operator.desired.access_token import render
from registry_operator.desired.rotation import EARLY
from registry_operator.models import Condition
from registry_operator.observed import SecretView, TokenObserved

from tests.unit.operator.checks.test_access_token import issued, said, status
from tests.unit.operator.harbour import NOW, SETTINGS, placed, token

DAY = timedelta(days=1)
ASKED: dict[str, Any] = {
    "rotation": {"every": "1d", "overlap": "1h"},
    "pullSecrets": {"namespaces": ["shop"]},
}


def later(seen: TokenObserved, after: timedelta = DAY) -> TokenObserved:
    """The same some time after, with its Secrets written as they are to be then."""
    seen = replace(seen, now=seen.now + after)
    secrets = {**seen.secrets.found, **placed(seen.token, render(seen))}
    return replace(seen, secrets=SecretView(secrets, seen.secrets.refused))


def rotated(seen: TokenObserved) -> Condition:
    found = status(seen).condition("Rotated")
    assert found
    return found


def test_a_token_that_does_not_rotate_says_nothing_of_it() -> None:
    """But since when its password is given out."""
    seen = issued()
    assert "Rotated" not in said(seen)
    assert status(seen).rotated_at == NOW
    assert status(seen).rotates_at is None
    assert due(seen) is None


def test_the_times_are_in_the_status_and_looked_at_again() -> None:
    """The next one is made before it is due; a rotation takes nothing from Ready."""
    seen = issued(**ASKED)
    assert said(seen)["Rotated"] == ("True", "InTime")
    assert status(seen).rotates_at == NOW + DAY
    assert due(seen) == NOW + DAY - EARLY
    begun = later(seen, DAY - EARLY)
    assert rotation.MEMORY in begun.secrets.found[seen.token.secret].values
    assert said(begun)["Rotated"] == ("True", "InTime")
    assert said(begun)["Ready"] == ("True", "InForce")
    assert status(begun).rotated_at == NOW
    assert due(begun) == NOW + DAY


def test_a_next_password_that_some_replica_does_not_take_is_late() -> None:
    """A minute after it was due that is said, with the Registry that is waited for; the token is Ready."""
    begun = later(issued(**ASKED))
    assert said(begun)["Rotated"] == ("True", "InTime")
    assert due(begun) == NOW + DAY + LATE
    late = replace(begun, now=NOW + DAY + LATE)
    assert said(late)["Rotated"] == ("False", "RotationLate")
    assert "every replica of harbour/harbour" in rotated(late).message
    assert said(late)["Ready"] == ("True", "InForce")
    assert due(late) is None


def test_a_target_that_cannot_be_reached_is_named() -> None:
    """Before the next password is made, and after it was given out."""
    seen = issued(**ASKED)
    refused = replace(seen, secrets=SecretView(seen.secrets.found, frozenset({"shop"})))
    assert said(refused)["Rotated"] == ("True", "InTime")
    held = replace(refused, now=NOW + DAY)
    assert said(held)["Rotated"] == ("False", "TargetsBehind")
    assert rotated(held).message.startswith("no next one is made until shop has the password of now")

    secret = seen.secrets.found[seen.token.secret]
    known = rotation.read(seen.token, secret)
    assert known is not None
    out = replace(known, previous="0" * 64)
    values = {**secret.values, rotation.MEMORY: out.encode()}
    waiting = SecretView({**seen.secrets.found, seen.token.secret: replace(secret, values=values)})
    assert said(replace(seen, secrets=waiting))["Rotated"] == ("True", "InTime")
    gone = replace(seen, secrets=replace(waiting, refused=frozenset({"shop"})))
    assert said(gone)["Rotated"] == ("False", "TargetsBehind")
    assert rotated(gone).message.startswith("the one of before stays valid until shop")


def test_what_does_not_rotate_says_so() -> None:
    """Suspended and ended tokens keep their password, and tell no time."""
    for spec in ({"suspended": True}, {"expiresAt": NOW.isoformat()}):
        seen = issued(**ASKED, **spec)
        assert said(seen)["Rotated"] == ("True", "NotRotating")
        assert status(seen).rotates_at is None


def test_who_goes_at_its_end() -> None:
    """At its end, not before; not one that is kept, nor where Roadstead has no right to it."""
    end: dict[str, Any] = {"expiresAt": (NOW + DAY).isoformat()}
    seen = issued(**end, whenExpired="Delete")
    assert not is_over(seen)
    assert due(replace(seen, now=NOW + DAY - timedelta(seconds=1))) == NOW + DAY
    over = replace(seen, now=NOW + DAY)
    assert is_over(over)
    assert not is_over(replace(over, secrets=SecretView({}, frozenset({"harbour"}))))
    assert not is_over(replace(over, token=token(**end)))
    assert not is_over(replace(over, token=token(whenExpired="Delete")))
    assert judge(replace(over, token=token(**end)), SETTINGS).condition("Expiring")
