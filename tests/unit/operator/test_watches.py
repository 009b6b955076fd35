"""What a RoleBinding that comes sets to work."""

import pytest
from registry_operator.cache import Cache
from registry_operator.children import Child
from registry_operator.errors import NotFound, NotPermitted, Unavailable
from registry_operator.models import Key
from registry_operator.observed import Absence, Consent, SecretData
from registry_operator.queue import Kind, Queue, Work
from registry_operator.watches import FAILURES, Known, OptionalTable, Table, Watches

from tests.unit.operator import harbour
from tests.unit.operator.harbour import registry
from tests.unit.operator.scripted import ScriptedApi, scripted


async def test_a_second_consent_wakes_what_the_first_did_not_allow() -> None:
    """The Secrets could be read before, so nothing else would tell; a Registry waits for no retry."""
    cache = Cache()
    cache.see_registry(Key("harbour", "harbour"), registry())
    async with scripted(ScriptedApi()) as cluster:
        watches = Watches(cluster, cache, Queue(slow=1))
        woken = watches._see_consent(Key("harbour", "roadstead-registry"), given=Consent("to us"))
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
            watches._see_consent(binding, Consent(given))
    assert restarted == ["harbour", "harbour"]


async def test_an_account_that_is_named_restarts_no_stream_and_wakes_its_tokens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The right to the Secrets is the same as before; whose pull secrets are taken is not."""
    restarted: list[str] = []
    cache, binding = Cache(), Key("shop", "roadstead-secrets")
    token = harbour.token(pullSecrets={"namespaces": ["shop"]})
    cache.see_token(token.key, token)
    async with scripted(ScriptedApi()) as cluster:
        watches = Watches(cluster, cache, Queue(slow=1))
        watches._see_consent(binding, Consent("to us"))
        monkeypatch.setattr(watches.secrets, "restart", restarted.append)
        woken = watches._see_consent(binding, Consent("to us", {"harbour": True}))
    assert woken == {Work(Kind.ACCESS_TOKEN, *token.key)}
    assert not restarted
    assert cache.consents == {"shop": {"roadstead-secrets": Consent("to us", {"harbour": True})}}


async def test_what_is_seen_first_did_not_change() -> None:
    """After a start each Secret is new to the operator: whose token waits for one comes before the others."""
    cache = Cache()
    queue = Queue(slow=1, awaited=cache.awaits)
    settled = [harbour.token(name, status=harbour.ready()) for name in "abcdefg"]
    tokens = [*settled, harbour.token("new")]
    for token in tokens:
        cache.see_token(token.key, token)
    found, other = (SecretData({}, uid="uid", resource_version=version) for version in "12")
    async with scripted(ScriptedApi()) as cluster:
        watches = Watches(cluster, cache, queue)
        for token in tokens:
            watches.secret(token.secret, None, found)
        assert taken(queue) == ["new", *"abcdefg"]
        watches.consent("harbour")
        assert taken(queue)[0] == "new"
        for token in tokens:
            watches.secret(token.secret, found, other)
        assert taken(queue) == [*"abcdefg", "new"]


def taken(queue: Queue) -> list[str]:
    """Names of the tokens that are due, in their order; nothing is due after it."""
    due = list(iter(queue.poll, None))
    for work in due:
        queue.done(work)
    return [work.name for work in due if work.kind is Kind.ACCESS_TOKEN]


def test_what_is_listed_first_did_not_change() -> None:
    """After a start the CA bundle of each Registry is: who changed something comes before all of these."""
    queue = Queue(slow=1)
    first, second, changed = (
        Work(Kind.NAMESPACE, "harbour", name) for name in ("first", "second", "changed")
    )
    table: Table[Work] = Table(Known(lambda _key, seen: {seen} if seen else set(), list), queue)
    table.listed({"harbour/first": first, "harbour/second": second}, "")
    queue.add(changed)
    assert next(iter(queue.poll, None)) == changed
    table.changed("harbour/second", second)
    assert list(iter(queue.poll, None)) == [second, first]


async def test_children_go_at_a_version() -> None:
    """By the watch and by a list: what was written since that is there."""
    cache, queue = Cache(), Queue(slow=1)
    key = Key("harbour", "harbour")
    written = Child("Service", key, "uid", key, "", b"", resource_version="6")
    cache.see_child("Service", key, written)
    async with scripted(ScriptedApi()) as cluster:
        table = Table(Watches(cluster, cache, queue)._children("Service"), queue)
        table.removed("harbour/harbour", "5")
        table.listed({}, "5")
        assert cache.children["Service", key] == written
        table.removed("harbour/harbour", "7")
        assert not cache.children


def test_a_kind_that_comes_later_wakes_who_asked_for_it() -> None:
    """What is not served, or may not be read, holds up nobody's start; a mere failure says nothing."""
    cache, queue = Cache(), Queue(slow=1)
    wanting = registry(tls={"issuerRef": {"name": "own"}})
    cache.see_registry(wanting.key, wanting)
    cache.see_registry(Key("harbour", "other"), registry())
    told: list[set[Work]] = []

    def served(absence: Absence | None) -> set[Work]:
        told.append(cache.see_api("Certificate", absence))
        return told[-1]

    table: OptionalTable[Child] = OptionalTable(Known(lambda _key, _seen: set(), list), queue, served)
    table.failed(Unavailable("no answer"))
    assert not table.listed_once.is_set()
    table.failed(NotFound("404"))
    assert table.listed_once.is_set()
    assert cache.unserved == {"Certificate": Absence.MISSING}
    table.failed(NotPermitted("403"))
    assert cache.unserved == {"Certificate": Absence.NOT_PERMITTED}
    table.listed({}, "")
    assert cache.unserved == {}
    assert told[-1] == {Work(Kind.REGISTRY, *wanting.key)}


def test_a_kind_that_cannot_be_listed_holds_up_no_start() -> None:
    """A CRD whose conversion fails is done without, as long as it was never listed."""
    cache, queue, told = Cache(), Queue(slow=1), list[Absence | None]()

    def served(absence: Absence | None) -> set[Work]:
        told.append(absence)
        return cache.see_api("Certificate", absence)

    table: OptionalTable[Child] = OptionalTable(Known(lambda _key, _seen: set(), list), queue, served)
    for _ in range(FAILURES - 1):
        table.failed(Unavailable("conversion webhook failed"))
    assert not table.listed_once.is_set()
    table.failed(Unavailable("conversion webhook failed"))
    assert table.listed_once.is_set()
    table.failed(Unavailable("conversion webhook failed"))
    table.listed({}, "")
    table.failed(Unavailable("and once more, later"))
    assert told == [Absence.UNANSWERED, None]


async def test_a_consent_for_certificates_lets_nobody_read_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """It wakes the Registries of its namespace, and counts for no pull secret."""
    restarted: list[str] = []
    cache = Cache()
    cache.see_registry(Key("harbour", "harbour"), registry())
    async with scripted(ScriptedApi()) as cluster:
        watches = Watches(cluster, cache, Queue(slow=1))
        monkeypatch.setattr(watches.secrets, "restart", restarted.append)
        binding = Key("harbour", "roadstead-certificates")
        woken = watches._see_consent(binding, Consent("to us", beside=True))
    assert Work(Kind.REGISTRY, "harbour", "harbour") in woken
    assert cache.consents == {}
    assert not restarted
