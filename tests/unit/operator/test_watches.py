"""What a RoleBinding that comes sets to work."""

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
        woken = watches._see_consent(Key("harbour", "roadstead-registry"), given=True)
        assert {Work(Kind.REGISTRY, "harbour", "harbour"), Work(Kind.POLICY, "harbour", "harbour")} <= woken
        assert watches._see_consent(Key("harbour", "unknown"), given=None) == set()
