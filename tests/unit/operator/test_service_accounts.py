"""Which tokens a ServiceAccount concerns, and what is found of those that are gone."""

from typing import Any

import pytest
from registry_operator.models import Key
from registry_operator.observed import PlacedEntry, ServiceAccount
from registry_operator.service_accounts import ServiceAccounts

from tests.unit.operator import harbour

DEFAULT = Key("shop", "default")
TOKEN = Key("harbour", "deployer")
ASKING = harbour.token(pullSecrets={"namespaces": ["shop"], "serviceAccounts": ["default"]})
ENTRY = PlacedEntry("gone-pull", "AccessToken harbour/gone")


def account(version: str = "5", **changes: Any) -> ServiceAccount:
    return ServiceAccount(version, **changes)


@pytest.fixture
def accounts() -> ServiceAccounts:
    """One token wants to be named by the ServiceAccount default of shop."""
    accounts = ServiceAccounts()
    accounts.see_asking(None, ASKING)
    return accounts


def test_one_that_appears_or_loses_its_entry_concerns_who_asks(accounts: ServiceAccounts) -> None:
    """And no other ServiceAccount concerns anybody; nor does what has nothing to do with pull secrets."""
    assert accounts.see(DEFAULT, account()) == {TOKEN}
    assert accounts.see(DEFAULT, account("6")) == set()
    assert accounts.see(DEFAULT, account("7", pull_secrets=("regcred",))) == {TOKEN}
    assert accounts.see(DEFAULT, None) == {TOKEN}
    assert accounts.see(Key("shop", "builder"), account()) == set()
    assert accounts.see(Key("yard", "default"), account()) == set()


def test_a_token_that_asks_no_longer_is_not_woken(accounts: ServiceAccounts) -> None:
    """Nor is one that is gone."""
    asking_no_more = harbour.token(pullSecrets={"namespaces": ["shop"]})
    accounts.see_asking(ASKING, asking_no_more)
    assert accounts.see(DEFAULT, account()) == set()
    accounts.see_asking(asking_no_more, ASKING)
    accounts.see_asking(ASKING, None)
    assert accounts.see(DEFAULT, None) == set()


def test_what_a_token_that_is_gone_has_left_is_found(accounts: ServiceAccounts) -> None:
    """By its UID; and it wakes the work that takes it away."""
    assert accounts.see(DEFAULT, account(placed={"uid-gone": ENTRY})) == {TOKEN, Key("harbour", "gone")}
    assert accounts.listing("uid-gone") == {DEFAULT}
    assert accounts.strays(frozenset({"uid-gone"})) == {}
    assert accounts.strays(frozenset()) == {(ENTRY.owner, "uid-gone"): {DEFAULT}}
    accounts.see(DEFAULT, account("6"))
    assert accounts.listing("uid-gone") == frozenset()
    assert accounts.strays(frozenset()) == {}


def test_a_late_event_does_not_undo_what_was_written(accounts: ServiceAccounts) -> None:
    """Our own write's answer is newer than the event that is still on its way."""
    written = account("9", pull_secrets=("deployer-pull",))
    accounts.see(DEFAULT, written)
    assert accounts.see(DEFAULT, account("8")) == set()
    assert accounts.objects[DEFAULT] == written
