"""What of a ServiceAccount is news, and what is found of tokens that are gone."""

from typing import Any

from registry_operator.models import Key
from registry_operator.observed import PlacedEntry, ServiceAccount
from registry_operator.service_accounts import ServiceAccounts

DEFAULT = Key("shop", "default")
ENTRY = PlacedEntry("gone-pull", "AccessToken harbour/gone")


def account(version: str = "5", **changes: Any) -> ServiceAccount:
    return ServiceAccount(version, **changes)


def test_only_what_concerns_pull_secrets_is_news() -> None:
    """Made, named in, taken out of, gone; what else somebody writes into it is kept and not told."""
    accounts = ServiceAccounts()
    made, named = account(), account("7", pull_secrets=("regcred",))
    assert accounts.put(DEFAULT, made) == (made,)
    assert accounts.put(DEFAULT, account("6")) == ()
    assert accounts.objects[DEFAULT].resource_version == "6"
    assert accounts.put(DEFAULT, named) == (account("6"), named)
    assert accounts.put(DEFAULT, None) == (named,)
    assert accounts.put(DEFAULT, None) == ()
    assert not accounts.objects


def test_what_a_token_that_is_gone_has_left_is_found() -> None:
    """By its UID, as long as it is there."""
    accounts = ServiceAccounts()
    accounts.put(DEFAULT, account(placed={"uid-gone": ENTRY}))
    assert accounts.listing("uid-gone") == {DEFAULT}
    assert accounts.strays(frozenset({"uid-gone"})) == {}
    assert accounts.strays(frozenset()) == {(ENTRY.owner, "uid-gone"): {DEFAULT}}
    accounts.put(DEFAULT, account("6"))
    assert accounts.listing("uid-gone") == frozenset()
    assert accounts.strays(frozenset()) == {}


def test_a_late_event_does_not_undo_what_was_written() -> None:
    """Our own write's answer is newer than the event that is still on its way."""
    accounts = ServiceAccounts()
    written = account("9", pull_secrets=("deployer-pull",))
    accounts.put(DEFAULT, written)
    assert accounts.put(DEFAULT, account("8")) == ()
    assert accounts.objects[DEFAULT] == written
