"""What a Registry's namespace lets the operator write, and no longer lets it delete."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn, cast

import pytest
from registry_operator import names, seen
from registry_operator.cache import Cache
from registry_operator.cluster.resources import CERTIFICATES, CONFIG_MAPS, HTTP_ROUTES, REGISTRIES
from registry_operator.desired.registry import render
from registry_operator.errors import NotPermitted, QuotaExceeded
from registry_operator.models import Key
from registry_operator.reconcile import registry as module
from registry_operator.reconcile.access import Written
from registry_operator.reconcile.registry import Outcome, apply_children, judge, take_back

from tests.unit.operator import harbour
from tests.unit.operator.scripted import ScriptedApi, Unasked, context, plain, scripted, status

HERE, TLS = Key("harbour", "harbour"), Key("harbour", "harbour-tls")
REFUSED = status(403, "Forbidden", 'User "operator" cannot delete resource')


def there(cache: Cache, resource: Any, key: Key) -> None:
    """An object that is the Registry's, and is seen."""
    metadata = {
        "name": key.name,
        "namespace": key.namespace,
        "uid": "u",
        "resourceVersion": "7",
        "labels": names.labels(harbour.registry(), "test"),
        "annotations": {names.RENDERED: "before"},
        "ownerReferences": [{"uid": harbour.registry().meta.uid}],
    }
    obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
    cache.see_child(resource.kind, key, seen.child(obj))


async def test_what_may_not_be_deleted_is_left_and_the_rest_goes() -> None:
    """Also where a Registry is emptied; a right that is no consent of the namespace's is an error."""
    registry, cache, api = harbour.registry(), Cache(), ScriptedApi()
    bundle = names.ca_bundle(registry)
    for resource, key in ((HTTP_ROUTES, HERE), (CONFIG_MAPS, bundle)):
        there(cache, resource, key)
    api.on(HTTP_ROUTES.path(*HERE), REFUSED)
    api.on(CONFIG_MAPS.path(*bundle), plain({}), REFUSED)
    gone = (("HTTPRoute", HERE), ("ConfigMap", bundle))
    rendered = replace(render(harbour.observed(), harbour.SETTINGS), children=(), unwanted=gone)
    async with scripted(api) as cluster:
        at = context(cluster, cache)
        applied = await apply_children(at, registry, rendered)
        assert (applied.conflicts, applied.denied, applied.left) == ([], set(), {"HTTPRoute"})
        assert {kind for kind, _ in cache.children} == {"HTTPRoute"}
        there(cache, CONFIG_MAPS, bundle)
        with pytest.raises(NotPermitted):
            await apply_children(at, registry, rendered)


@pytest.mark.parametrize(("tls", "asked"), [({}, 1), ({"issuerRef": {"name": "own"}}, 0)])
async def test_a_certificate_of_before_goes_first(tls: dict[str, Any], asked: int) -> None:
    """Before the Secret that cert-manager would write over; one that is wanted stays."""
    cache, api = Cache(), ScriptedApi()
    there(cache, CERTIFICATES, TLS)
    api.on(CERTIFICATES.path(*TLS), REFUSED, plain({}))
    async with scripted(api) as cluster:
        at = context(cluster, cache)
        registry = harbour.registry(tls=tls)
        assert await take_back(at, registry) == ({"Certificate"} if asked else set())
        assert await take_back(at, registry) == set()
    assert api.count(CERTIFICATES.path(*TLS)) == 2 * asked
    assert bool(cache.children) is not bool(asked)


@pytest.mark.parametrize("late", [(), ("harbour-1",), ("harbour-0", "harbour-1", "harbour-2")])
async def test_replicas_that_are_behind_have_attention(
    late: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever judged it Ready: what they say next is awaited. One that all agree with is left alone."""
    seen_, rendered = harbour.running(harbour.observed())
    states = {pod: harbour.state(pod, "before" if pod in late else one.policy_revision or "")
              for pod, one in seen_.replicas.items() if one}  # fmt: skip
    cache, api = Cache(), ScriptedApi()
    cache.see_registry(HERE, harbour.registry())
    api.on(f"{REGISTRIES.path(*HERE)}/status", status(404, "NotFound"))
    async with scripted(api) as cluster:
        at = context(cluster, cache)
        monkeypatch.setattr(at, "observe_registry", lambda *_: replace(seen_, replicas=states))
        await judge(at, HERE, rendered, Outcome([], set(), set(), None, None))
        attended = cast("Unasked", at.replicas).attended
    assert attended == ([HERE] if late else [])


async def test_who_waited_for_the_first_look_comes_before_who_did_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the first look all tokens of a Registry are judged; those that are Ready have patience."""
    seen_, rendered = harbour.running(harbour.observed())
    cache, api = Cache(), ScriptedApi()
    cache.see_registry(HERE, harbour.registry())
    settled = [harbour.token(name, status=harbour.ready()) for name in "abcdefg"]
    for token in [*settled, harbour.token("new")]:
        cache.see_token(token.key, token)
    api.on(f"{REGISTRIES.path(*HERE)}/status", status(404, "NotFound"))
    async with scripted(api) as cluster:
        at = context(cluster, cache)
        monkeypatch.setattr(at, "observe_registry", lambda *_: seen_)
        await judge(at, HERE, rendered, Outcome([], set(), set(), None, None))
        first = await at.queue.take()
    assert first.name == "new"
    assert at.queue.depth == len(settled)


async def test_what_cannot_be_written_keeps_nobody_from_hearing_the_replicas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A quota refuses one child: its AccessTokens are judged by what its replicas say all the same."""
    seen_, rendered = harbour.running(harbour.observed())
    cache, followed = Cache(), list[Key]()
    cache.see_account("harbour", harbour.accounts()["harbour"])
    cache.see_registry(HERE, harbour.registry())

    async def refused(*_: object) -> NoReturn:
        raise QuotaExceeded("exceeded quota")

    async def nothing(*_: object) -> Any:
        return None

    class Told:
        """Access that has been written."""

        def is_known(self, _: Key) -> bool:
            return True

        async def written(self, _: Key) -> Written:
            return Written(rendered.draft, [])

    monkeypatch.setattr(module, "apply_children", refused)
    monkeypatch.setattr("registry_operator.reconcile.upgrades.advance", nothing)
    monkeypatch.setattr(module, "render", lambda *_: rendered)
    monkeypatch.setattr(module, "follow", lambda _, registry: followed.append(registry.key))
    async with scripted(ScriptedApi()) as cluster:
        at = context(cluster, cache)
        monkeypatch.setattr(at, "observe_registry", lambda *_, **__: seen_)
        monkeypatch.setattr(at, "look", nothing)
        with pytest.raises(QuotaExceeded):
            await module.reconcile(at, cast("Any", Told()), HERE)
    assert followed == [HERE]
    assert cache.propagations[HERE].revision == rendered.draft.revision
