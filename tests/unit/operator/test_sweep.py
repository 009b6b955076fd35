"""What no event told is found by the sweep, and only what is surely a leftover is deleted."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from registry_operator import names
from registry_operator.cache import Cache
from registry_operator.cluster import Resource
from registry_operator.cluster.resources import (
    ACCESS_TOKENS,
    CLAIMS,
    NAMESPACES,
    REGISTRIES,
    SERVICE_ACCOUNTS,
)
from registry_operator.concerns import Concerns
from registry_operator.errors import InvalidResource
from registry_operator.events import Recorder
from registry_operator.metrics import Metrics
from registry_operator.models import AccessToken, Key
from registry_operator.observed import (
    KubernetesNamespace,
    PlacedEntry,
    SecretData,
    ServiceAccount,
    Unreadable,
)
from registry_operator.queue import Kind, Queue, Work
from registry_operator.reconcile import access_token
from registry_operator.reconcile.context import Context
from registry_operator.reconcile.sweep import Sweep
from registry_operator.secrets import Secrets
from registry_operator.seen import key_of

from tests.unit.operator import harbour
from tests.unit.operator.scripted import ScriptedApi, listing, obj, plain, scripted, status


class Nobody:
    """Is told of changes and does nothing."""

    def secret(self, key: Key, before: SecretData | None, after: SecretData | None) -> None: ...

    def consent(self, namespace: str) -> None: ...


@asynccontextmanager
async def sweeping(api: ScriptedApi) -> AsyncIterator[tuple[Sweep, Cache, Secrets, Metrics]]:
    cache, metrics = Cache(), Metrics()

    def see(resource: Resource, obj: dict[str, Any], gone: bool) -> None:
        key = key_of(obj)
        if resource is ACCESS_TOKENS:
            cache.see_token(key, None if gone else AccessToken.parse(obj))
        elif resource is NAMESPACES:
            cache.see_account(key.name, None if gone else KubernetesNamespace(key.name, "uid"))

    async with scripted(api) as cluster:
        secrets = Secrets(cast("Any", None), Concerns(cache), Nobody())
        at = Context(
            cluster=cluster,
            cache=cache,
            secrets=secrets,
            replicas=cast("Any", None),
            queue=Queue(1),
            recorder=Recorder(cluster, "test"),
            settings=harbour.SETTINGS,
            now=lambda: datetime.now(UTC),
        )
        yield Sweep(at, see, metrics), cache, secrets, metrics


def there(api: ScriptedApi, *tokens: dict[str, Any]) -> None:
    api.on(NAMESPACES.path(), listing({"metadata": {"name": "harbour", "resourceVersion": "1"}}))
    api.on(REGISTRIES.path(), listing())
    api.on(CLAIMS.path(), listing())
    api.on(ACCESS_TOKENS.path(), listing(*tokens))


async def test_a_deletion_that_nobody_told_is_noticed() -> None:
    """kopf's lists yield what exists: a ghost would keep its rights for ever."""
    api = ScriptedApi()
    there(api)
    async with sweeping(api) as (sweep, cache, _, metrics):
        cache.see_account("harbour", KubernetesNamespace("harbour", "uid"))
        ghost = harbour.token()
        cache.see_token(ghost.key, ghost)
        await sweep.round()
        assert not cache.tokens.objects
        assert metrics.healed.value("accesstokens") == 1
    asked = [path for _, path, _ in api.asked]
    assert asked.count(ACCESS_TOKENS.path()) == 1


async def test_what_came_while_a_list_was_read_is_not_missed() -> None:
    """It is not in the list, and is newer than that: told by the watch, it stays."""
    api = ScriptedApi()
    there(api)
    ghost = harbour.token(meta={"resourceVersion": "8"})
    async with sweeping(api) as (sweep, cache, _, metrics):
        cache.see_account("harbour", KubernetesNamespace("harbour", "uid"))
        cache.see_token(ghost.key, ghost)
        known = sweep.known(ACCESS_TOKENS)
        cache.see_token(ghost.key, harbour.token(meta={"resourceVersion": "11", "uid": "anew"}))
        sweep.miss(ACCESS_TOKENS, known, set())
        assert cache.tokens.versions() == {ghost.key: "11"}
        assert metrics.healed.value("accesstokens") == 0


async def test_what_was_made_unnoticed_is_read() -> None:
    """Lists bring metadata only; what is newer there than here is read as a whole, and nothing else."""
    api = ScriptedApi()
    token = {
        "metadata": harbour.metadata("new", resourceVersion="9"),
        "spec": {"registryRefs": [{"name": "harbour"}]},
    }
    there(api, {"metadata": token["metadata"]})
    api.on(ACCESS_TOKENS.path("harbour", "new"), plain(token))
    async with sweeping(api) as (sweep, cache, _, metrics):
        cache.see_account("harbour", KubernetesNamespace("harbour", "uid"))
        await sweep.round()
        await sweep.round()
        assert list(cache.tokens.objects) == [Key("harbour", "new")]
        assert metrics.healed.value("accesstokens") == 1


async def test_only_a_secret_whose_owner_is_surely_gone_is_deleted() -> None:
    """The API server is asked about each owner; a label alone deletes nothing."""
    api = ScriptedApi()
    there(api)
    alive = {"metadata": harbour.metadata("alive", uid="uid-alive")}
    api.on(ACCESS_TOKENS.path("harbour", "alive"), plain(alive))
    for name in ("gone", "alive", "strange"):
        api.on(f"/api/v1/namespaces/app/secrets/{name}", plain({}))
    async with sweeping(api) as (sweep, _, secrets, _):
        for name, owner in (
            ("gone", "AccessToken harbour/gone"),
            ("alive", "AccessToken harbour/alive"),
            ("strange", "somebody else"),
        ):
            labels = {names.OWNER_UID: f"uid-{name}"}
            annotations = {names.OWNER: owner}
            secrets.put(Key("app", name), SecretData({}, uid=name, labels=labels, annotations=annotations))
        await sweep.round()
    assert [path for method, path, _ in api.asked if method == "DELETE"] == [
        "/api/v1/namespaces/app/secrets/gone"
    ]


async def test_only_the_entry_of_a_token_that_is_surely_gone_is_taken_out() -> None:
    """Of three entries in a ServiceAccount: its token gone, still there, and nothing of ours."""
    api = ScriptedApi()
    there(api)
    alive = {"metadata": harbour.metadata("alive", uid="uid-alive")}
    api.on(ACCESS_TOKENS.path("harbour", "alive"), plain(alive))
    account = SERVICE_ACCOUNTS.path("app", "default")
    api.on(account, plain(obj("default", "6", "app")))
    owners = {
        "gone": "AccessToken harbour/gone",
        "alive": "AccessToken harbour/alive",
        "odd": "somebody else",
    }
    placed = {f"uid-{name}": PlacedEntry(f"{name}-pull", owner) for name, owner in owners.items()}
    names_ = tuple(f"{name}-pull" for name in owners)
    async with sweeping(api) as (sweep, cache, _, _):
        cache.see_service_account(Key("app", "default"), ServiceAccount("5", names_, placed, "uid-default"))
        await sweep.round()
    assert [path for method, path, _ in api.asked if method == "PATCH"] == [account]
    (body,) = api.bodies
    assert body == {
        "metadata": {
            "uid": "uid-default",
            "resourceVersion": "5",
            "annotations": {f"{names.IMAGE_PULL_SECRETS}uid-gone": None},
        },
        "imagePullSecrets": [{"name": "alive-pull"}, {"name": "odd-pull"}],
    }


async def test_a_token_that_cannot_be_read_keeps_its_secrets() -> None:
    """It is not in the cache, but the API server has it: its reconcile deletes nothing."""
    api = ScriptedApi()
    api.on(ACCESS_TOKENS.path("harbour", "odd"), plain({"metadata": harbour.metadata("odd", uid="uid-odd")}))
    labels, annotations = {names.OWNER_UID: "uid-odd"}, {names.OWNER: "AccessToken harbour/odd"}
    async with sweeping(api) as (sweep, _, secrets, _):
        secrets.put(Key("app", "odd"), SecretData({}, labels=labels, annotations=annotations))
        await access_token.reconcile(sweep._at, Key("harbour", "odd"))
    assert [method for method, _, _ in api.asked] == ["GET"]


async def test_every_resource_is_judged_again_in_each_round() -> None:
    """What no event told, such as a bucket that changed, is noticed within minutes."""
    async with sweeping(ScriptedApi()) as (sweep, cache, _, _):
        for one in (harbour.registry(), harbour.claim(), harbour.token()):
            cache.table(Kind(one.KIND)).put(one.key, one)  # type: ignore[arg-type]
        queue, sweep._period = sweep._at.queue, 0.1
        again = asyncio.create_task(sweep._again())
        taken: Counter[Kind] = Counter()
        async with asyncio.timeout(5):
            while taken.total() < 9:
                work = await queue.take()
                queue.done(work)
                taken[work.kind] += 1
        again.cancel()
    assert taken == dict.fromkeys((Kind.REGISTRY, Kind.NAMESPACE, Kind.ACCESS_TOKEN), 3)


async def test_who_waits_for_the_lease_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sweeps nothing, however long it waits: the kubelet must not start it anew for that."""
    api = ScriptedApi()
    there(api)
    async with sweeping(api) as (sweep, _, _, _):
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 100_000)
        assert not sweep.late
        monkeypatch.undo()
        assert set((await sweep.prime()).values()) == {"10"}
        monkeypatch.setattr(time, "monotonic", lambda: now + 100_000)
        assert sweep.late
        monkeypatch.undo()


async def left(api: ScriptedApi, owner: str) -> None:
    """A round over an entry that this owner is said to have left in a ServiceAccount, and over his Secret."""
    placed = {"uid-gone": PlacedEntry("gone-pull", owner)}
    async with sweeping(api) as (sweep, cache, secrets, _):
        cache.see_account("harbour", KubernetesNamespace("harbour", "uid"))
        cache.see_service_account(
            Key("app", "default"), ServiceAccount("5", ("gone-pull",), placed, "uid-default")
        )
        secrets.put(
            Key("app", "gone"),
            SecretData({}, labels={names.OWNER_UID: "uid-gone"}, annotations={names.OWNER: owner}),
        )
        began = time.monotonic()
        await sweep.round()
        assert began <= sweep.done_at <= time.monotonic()


@pytest.mark.parametrize("name", ["../accesstokens", "..", "x/../y", "?x", "#", "x y", "X"])
async def test_what_anybody_wrote_is_no_path_to_the_api_server(name: str) -> None:
    """Whoever may annotate a ServiceAccount must neither choose what is read nor end the operator."""
    api = ScriptedApi()
    there(api)
    await left(api, f"AccessToken harbour/{name}")
    assert {path for _, path, _ in api.asked} == {
        one.path() for one in (NAMESPACES, REGISTRIES, CLAIMS, ACCESS_TOKENS)
    }


@pytest.mark.parametrize("refusal", ["cannot patch", "admission webhook denied the request: not here"])
async def test_a_namespace_that_lets_nothing_be_taken_out_holds_up_no_sweep(refusal: str) -> None:
    """It withdrew its consent, then the token went: its Secret goes where that may be, the round is done."""
    api = ScriptedApi()
    there(api)
    api.on(SERVICE_ACCOUNTS.path("app", "default"), status(403, "Forbidden", refusal))
    api.on("/api/v1/namespaces/app/secrets/gone", plain({}))
    await left(api, "AccessToken harbour/gone")
    assert api.count("/api/v1/namespaces/app/secrets/gone") == 1


async def test_the_deletion_of_what_cannot_be_read_is_noticed_too() -> None:
    """It would stay in each policy as it was when it could be read. While it is there, it is no news."""
    api = ScriptedApi()
    raw = {"metadata": harbour.metadata("odd", resourceVersion="9")}
    there(api, raw)
    api.on(ACCESS_TOKENS.path(), listing())
    work = Work(Kind.ACCESS_TOKEN, "harbour", "odd")
    async with sweeping(api) as (sweep, cache, _, metrics):
        cache.see_account("harbour", KubernetesNamespace("harbour", "uid"))
        cache.see_unreadable(work, Unreadable(raw, InvalidResource("odd", "what it says")))
        healed: list[tuple[Key, bool]] = []
        sweep._see = lambda _, obj, gone: healed.append((key_of(obj), gone))
        await sweep.round()
        assert healed == []
        await sweep.round()
    assert healed == [(Key("harbour", "odd"), True)]
    assert metrics.healed.value("accesstokens") == 1
