"""What replicas tell of uses and refusals, as it comes to stand in a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from registry_operator import activity as module
from registry_operator import cluster as door
from registry_operator.cluster import Credentials
from registry_operator.controller import Controller
from registry_operator.handlers import Watchdog
from registry_operator.metrics import Metrics
from registry_operator.models import Key
from registry_operator.models.base import format_time
from registry_operator.settings import Settings

from registry_runtime.contract.activity import Activity, Refusal
from tests.operator.apiserver import ApiServer, Object
from tests.operator.operator_process import Cluster, Operator, install, wait

pytestmark = pytest.mark.cluster
HARBOUR = Key("port", "harbour")


@pytest.fixture(scope="module")
def stopped(fresh: ApiServer) -> Operator:
    """An operator that could run: these tests run its parts themselves, to speak for the replicas."""
    install(fresh)
    return Operator(fresh, fresh.certificate, fresh.folder)


@asynccontextmanager
async def controlling(stopped: Operator) -> AsyncIterator[Controller]:
    """The operator in this process, with its own rights, until the end of the block.

    All resources are there before. Without kopf, whose sockets the garbage collector has to close.
    """
    credentials = Credentials.find({}, stopped.kubeconfig())
    async with door.Cluster(credentials, lambda *_: None) as cluster:
        controller = Controller(cluster, credentials, Settings(image="test"), Metrics(), "operator-0")
        running = asyncio.create_task(controller.run())
        try:
            yield controller
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def until(true: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(wait, true)


def events(cluster: Cluster, kind: str, name: str) -> dict[str, Object]:
    """Of refusals, by their reason."""
    found = cluster.list("Event", HARBOUR.namespace).values()
    return {
        one["reason"]: one
        for one in found
        if (one["regarding"]["kind"], one["regarding"]["name"]) == (kind, name) and one["action"] == "Refuse"
    }


def knows(controller: Controller, token: str) -> bool:
    """Whether the operator has seen its own statuses: it learns what it wrote a moment later."""
    claim = controller._cache.claims.objects.get(Key(HARBOUR.namespace, "pier"))
    bound = claim.status.condition("Bound") if claim else None
    return controller._cache.tokens.by_id(token) is not None and bound is not None and bound.status == "True"


def count(event: Object) -> int:
    return int((event.get("series") or {}).get("count", 1))


async def test_uses_and_refusals_come_to_stand_in_the_api_server(
    stopped: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status has both numbers beside its conditions, over a restart; refusals are Events that count."""
    monkeypatch.setattr(module, "AGAIN", 0.0)
    monkeypatch.setattr(Watchdog, "run", lambda _self: asyncio.Event().wait())
    cluster, namespace = Cluster(stopped.server), HARBOUR.namespace
    await asyncio.to_thread(cluster.namespace, namespace)
    for make in (cluster.registry, lambda name: cluster.claim(name, "pier")):
        await asyncio.to_thread(make, namespace)
    await asyncio.to_thread(cluster.token, namespace, "once", uses=2)
    now = datetime.now(UTC).replace(microsecond=0)

    def status() -> Object:
        return (cluster.get("AccessToken", namespace, "once") or {}).get("status") or {}

    def refusal(many: int, action: str = "push") -> Refusal:
        words = {"namespace": "pier", "repository": "pier/app", "action": action, "endpoint": "public"}
        return Refusal.model_validate(
            {"token": before["id"], "reason": "NotGranted", "count": many, "last": second, **words}
        )

    def both(kind: str, name: str) -> bool:
        return len(events(cluster, kind, name)) == 2

    async with controlling(stopped) as controller:
        before: Object = await until(lambda: status().get("conditions") and status())
        assert before["usesLeft"] == 2
        assert "lastUsedAt" not in before
        await until(lambda: knows(controller, before["id"]))
        second = int(now.timestamp())
        controller._heard(HARBOUR, "pod-0", Activity(epoch="0", cursor=""))
        controller._heard(
            HARBOUR,
            "pod-0",
            Activity(
                epoch="0",
                cursor="",
                used={before["id"]: second},
                spent={before["id"]: 1},
                refusals=(refusal(3), refusal(1, "delete")),
            ),
        )
        after = await until(lambda: status() if "lastUsedAt" in status() else None)
        assert (after["lastUsedAt"], after["usesLeft"]) == (format_time(now), 1)
        issued = [cluster.condition("AccessToken", namespace, "once", "Issued")]
        assert [one for one in before["conditions"] if one["type"] == "Issued"] == issued

        for kind, name in (("AccessToken", "once"), ("Namespace", "pier")):
            await until(partial(both, kind, name))
            said = events(cluster, kind, name)
            assert said.keys() == {"PushDenied", "DeleteDenied"}
            assert said["PushDenied"]["type"] == "Warning"
            assert "push of pier/app by the public domain was refused" in said["PushDenied"]["note"]
            assert (count(said["PushDenied"]), count(said["DeleteDenied"])) == (3, 1)
        controller._heard(HARBOUR, "pod-0", Activity(epoch="0", cursor="", refusals=(refusal(5),)))
        await until(lambda: count(events(cluster, "AccessToken", "once")["PushDenied"]) == 5)

    async with controlling(stopped) as controller:
        await until(lambda: controller._cache.tokens.objects)
        controller._heard(HARBOUR, "pod-1", Activity(epoch="1", cursor="", used={before["id"]: second - 500}))
        controller._heard(HARBOUR, "pod-2", Activity(epoch="2", cursor="", spent={before["id"]: 2}))
        spent = await until(lambda: status() if status()["usesLeft"] == 0 else None)
        assert spent["lastUsedAt"] == format_time(now)
