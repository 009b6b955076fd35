"""Of what is missing, what another hand took."""

from dataclasses import replace

import pytest
from registry_operator.cache import Cache
from registry_operator.children import Child
from registry_operator.models import Key

from tests.unit.operator import harbour

OWNER = "uid-harbour-harbour"
SERVICE = "Service", Key("harbour", "harbour")


@pytest.fixture
def cache() -> Cache:
    """With one child of the Registry, in its account."""
    cache = Cache()
    cache.see_account("harbour", harbour.accounts()["harbour"])
    cache.see_registry(Key("harbour", "harbour"), harbour.registry())
    see(cache, there=True)
    return cache


def see(cache: Cache, *, there: bool) -> None:
    child = Child(*SERVICE, uid="uid", registry=SERVICE[1], rendered="", content=b"", owners=(OWNER,))
    cache.see_child(*SERVICE, child if there else None)


def misses(cache: Cache, owner: str = OWNER) -> bool:
    return cache.gone.misses(SERVICE, owner, cache.accounts)


def test_what_went_is_missed_until_it_is_there_again(cache: Cache) -> None:
    """By its owner alone; what never was is not missed."""
    assert not misses(cache)
    see(cache, there=False)
    assert misses(cache)
    assert not misses(cache, "uid-of-a-successor")
    see(cache, there=True)
    see(Cache(), there=False)
    assert not misses(cache)


def test_what_went_with_its_namespace_is_nobodys_doing(cache: Cache) -> None:
    """Neither while that ends, nor when there is another of the same name."""
    account = harbour.accounts()["harbour"]
    cache.see_account("harbour", replace(account, terminating=True))
    see(cache, there=False)
    cache.see_account("harbour", account)
    assert not misses(cache)

    see(cache, there=True)
    see(cache, there=False)
    cache.see_account("harbour", replace(account, uid="another"))
    assert not misses(cache)


def test_of_owners_that_are_gone_nothing_is_kept(cache: Cache) -> None:
    """The garbage collector deletes all that a Registry had: that would stay in memory for ever."""
    see(cache, there=False)
    cache.gone.keep({OWNER})
    assert misses(cache)
    cache.gone.keep(set())
    assert not misses(cache)
