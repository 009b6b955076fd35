"""What a RoleBinding that comes sets to work."""

import pytest
from registry_operator.cache import Cache
from registry_operator.models import Key
from registry_operator.queue import Kind, Queue, Work
from registry_operator.watches import Watches

from tests.unit.operator.harbour import registry
from tests.unit.operator.scripted import ScriptedApi, scripted


async def test_a_second_consent_wakes_what_the_first_did_not_allow() -> None:
    """The Secrets could be read before, so nothing else would tell; a Registry waits for no retry."""
    cache = Cache()
    cache.see_registry(Key("harbour", "harbour"), registry())
    async with scripted(ScriptedApi()) as cluster:
        watches = Watches(cluster, cache, Queue(slow=1))
        woken = watches._see_consent(Key("harbour", "roadstead-registry"), given="to us")
        assert {Work(Kind.REGISTRY, "harbour", "harbour"), Work(Kind.POLICY, "harbour", "harbour")} <= woken
        assert watches._see_consent(Key("harbour", "unknown"), given=None) == set()


async def test_a_consent_that_is_listed_again_restarts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost watch lists every RoleBinding anew; only one that says something else is news."""
    restarted: list[str] = []
    async with scripted(ScriptedApi()) as cluster:
        watches = Watches(cluster, Cache(), Queue(slow=1))
        monkeypatch.setattr(watches.secrets, "restart", restarted.append)
        binding = Key("harbour", "roadstead-secrets")
        for given in ("to us", "to us", "to others"):
            watches._see_consent(binding, given)
    assert restarted == ["harbour", "harbour"]
