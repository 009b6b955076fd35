"""Of what went, and of what is said of it too late."""

from dataclasses import replace

import pytest
from registry_operator import departed
from registry_operator.cache import Cache
from registry_operator.children import Child
from registry_operator.departed import Departed
from registry_operator.models import Key

KIND, KEY = "Service", Key("harbour", "harbour")
FIRST = Child(KIND, KEY, uid="first", registry=KEY, rendered="", content=b"", resource_version="5")


def test_an_answer_that_comes_after_the_deletion_brings_nothing_back() -> None:
    """Its write is older than the deletion that the watch told; what is made anew is seen."""
    cache = Cache()
    cache.see_child(KIND, KEY, FIRST)
    assert cache.see_child_gone(KIND, KEY, "9")
    assert cache.see_child(KIND, KEY, replace(FIRST, resource_version="8")) == set()
    assert (KIND, KEY) not in cache.children
    again = replace(FIRST, uid="second", resource_version="10")
    assert cache.see_child(KIND, KEY, again)
    assert cache.children[KIND, KEY] == again


@pytest.mark.parametrize("told", ["4", "5"])
def test_what_was_written_since_is_not_gone(told: str) -> None:
    """A list, or a predecessor's deletion, from before our own write says nothing of what that made."""
    cache = Cache()
    cache.see_child(KIND, KEY, replace(FIRST, resource_version="6"))
    assert cache.see_child_gone(KIND, KEY, told) == set()
    assert (KIND, KEY) in cache.children


def test_where_no_version_is_known_all_is_gone() -> None:
    """As of a kind that is served no longer."""
    cache = Cache()
    cache.see_child(KIND, KEY, FIRST)
    assert cache.see_child_gone(KIND, KEY, "")
    assert cache.see_child(KIND, KEY, FIRST)


def test_the_latest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departed, "KEPT", 2)
    gone = Departed()
    places = [(KIND, Key("harbour", name)) for name in "abc"]
    for place in (*places[:2], places[0], places[2]):
        gone.see(place, "9")
    assert [gone.is_late(place, "8", "") for place in places] == [True, False, True]
    assert not gone.is_late(places[0], "9", "")


def test_a_deletion_of_which_nobody_knows_the_version_forgets_none() -> None:
    """What was known to be late is late still."""
    gone = Departed()
    for version in ("9", ""):
        gone.see((KIND, KEY), version)
        assert gone.is_late((KIND, KEY), "8", "")
