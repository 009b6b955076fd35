"""The state of replicas, over real mutual TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from registry_operator import replicas as module
from registry_operator.models import Key
from registry_operator.observed import Endpoint, SecretData
from registry_operator.replicas import Contexts, Replicas, Trust
from registry_operator.tls import Authority, Usage
from registry_operator.turns import Turns

from registry_runtime.contract.activity import Activity
from registry_runtime.contract.state import ReplicaState
from tests.unit.operator.scripted import eventually

NOW = datetime.now(UTC)
SERVER = "harbour-internal.shop.svc"
REGISTRY = Key("shop", "harbour")
ENDPOINT = Endpoint("pod-a", "zone-a", ready=True, address="127.0.0.1")


@dataclass
class Replica:
    """A replica's state port."""

    state: ReplicaState
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[dict[str, str]] = field(default_factory=list)
    body: bytes = b""  # answered instead of the state
    port: int = 0
    activity: list[Activity] = field(default_factory=list)  # what it tells, one answer after the other
    cursors: list[str | None] = field(default_factory=list)  # after which it was asked for it

    async def tell(self, request: web.Request) -> web.Response:
        self.cursors.append(request.query.get("after"))
        if not self.activity:
            raise web.HTTPNotFound
        return web.Response(text=self.activity.pop(0).model_dump_json())

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        if request.query.get("after") == self.state.version and request.query["wait"] != "0":
            self.changed.clear()
            await self.changed.wait()
        return web.Response(body=self.body or self.state.model_dump_json().encode())

    def become(self, version: str, revision: str) -> None:
        self.state = self.state.model_copy(update={"version": version, "policy_revision": revision})
        self.changed.set()


def state() -> ReplicaState:
    return ReplicaState(version="1", replica="pod-a", zone="zone-a", started=NOW, ready=True)


@pytest.fixture
def authority() -> Authority:
    return Authority.ensure(None, "test", NOW)


def client_of(authority: Authority) -> SecretData:
    made = authority.leaf(None, ("roadstead-operator",), Usage.CLIENT, NOW)
    return SecretData(made, uid="uid", resource_version="1")


@asynccontextmanager
async def serving(
    replica: Replica, authority: Authority, folder: Path, name: str = SERVER
) -> AsyncIterator[Replica]:
    made = authority.leaf(None, (name,), Usage.SERVER, NOW)
    for file in ("tls.crt", "tls.key", "ca.crt"):
        (folder / file).write_bytes(made[file])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.crt")
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    context.verify_mode = ssl.CERT_REQUIRED
    app = web.Application()
    app.router.add_get("/state", replica.answer)
    app.router.add_get("/activity", replica.tell)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", replica.port, ssl_context=context).start()
    replica.port = runner.addresses[0][1]
    try:
        yield replica
    finally:
        await runner.cleanup()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(module, "LAST_RETRY", 0.05)
    monkeypatch.setattr(module, "PACE", 0.0)


@asynccontextmanager
async def polling(replica: Replica, secret: SecretData) -> AsyncIterator[list[ReplicaState | None]]:
    said: list[ReplicaState | None] = []
    async with following(replica, said) as replicas:
        replicas.follow(REGISTRY, SERVER, secret, [ENDPOINT])
        yield said


def following(
    replica: Replica,
    said: list[ReplicaState | None],
    done: list[Activity] | None = None,
    turns: Turns | None = None,
) -> Replicas:
    """`said` and `done` are what is heard."""
    heard = done if done is not None else []
    return Replicas(
        lambda _registry, _pod, found: said.append(found),
        lambda _registry, _pod, told: heard.append(told),
        replica.port,
        turns,
    )


async def test_a_change_is_heard_as_it_happens(authority: Authority, tmp_path: Path) -> None:
    """The first state at once, then a long poll that ends with the change; what is the same is said once."""
    async with (
        serving(Replica(state()), authority, tmp_path) as replica,
        polling(replica, client_of(authority)) as said,
    ):
        await eventually(lambda: len(said) == 1)
        await eventually(lambda: replica.asked[-1].get("after") == "1")
        replica.become("2", "abc")
        await eventually(lambda: len(said) == 2)
        assert said[1] is not None
        assert said[1].policy_revision == "abc"


async def test_a_replica_that_does_not_answer_is_unknown(authority: Authority, tmp_path: Path) -> None:
    """Not what it said last: None, once; and it is heard again when it comes back."""
    replica = Replica(state())
    async with serving(replica, authority, tmp_path):
        port = replica.port
        context = polling(replica, client_of(authority))
        said = await context.__aenter__()
        await eventually(lambda: len(said) == 1)
    await eventually(lambda: said[-1] is None, 10)
    replica.port = port
    async with serving(replica, authority, tmp_path):
        await eventually(lambda: said[-1] is not None, 10)
    assert said.count(None) == 1
    await context.__aexit__(None, None, None)


@pytest.mark.parametrize("fault", ["another CA", "another name", "garbage", "too large"])
async def test_what_is_not_surely_the_replica_is_not_believed(
    fault: str, authority: Authority, tmp_path: Path
) -> None:
    """Neither a stranger's certificate nor a strange answer becomes a state."""
    replica = Replica(state())
    if fault == "garbage":
        replica.body = b'{"ready": true}'
    if fault == "too large":
        replica.body = b" " * (module.LARGEST + 1)
    signer = Authority.ensure(None, "another", NOW) if fault == "another CA" else authority
    name = "other-internal.shop.svc" if fault == "another name" else SERVER
    async with serving(replica, signer, tmp_path, name), polling(replica, client_of(authority)) as said:
        await eventually(lambda: said == [None])
        await asyncio.sleep(0.05)
        assert said == [None]


async def test_a_pod_that_is_gone_is_forgotten(authority: Authority, tmp_path: Path) -> None:
    """And so is every replica when the client certificate is."""
    async with serving(Replica(state()), authority, tmp_path) as replica:
        said: list[ReplicaState | None] = []
        async with following(replica, said) as replicas:
            replicas.follow(REGISTRY, SERVER, client_of(authority), [ENDPOINT])
            await eventually(lambda: len(said) == 1)
            replicas.follow(REGISTRY, SERVER, client_of(authority), [])
            assert said[-1] is None
            assert replicas.followed == 0
            replicas.follow(REGISTRY, SERVER, SecretData({"tls.crt": b"broken"}), [ENDPOINT])
            assert replicas.followed == 0


async def test_what_was_done_is_asked_for_beside_the_state(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page after page from the last cursor on; between two polls, never instead of one."""
    monkeypatch.setattr(module, "LISTEN", 0.0)
    pages = [Activity(epoch="e", cursor=f"e.{number}", more=number != 2) for number in range(4)]
    replica, said, done = Replica(state(), activity=[*pages]), list[ReplicaState | None](), list[Activity]()
    async with serving(replica, authority, tmp_path), following(replica, said, done) as replicas:
        replicas.follow(REGISTRY, SERVER, client_of(authority), [ENDPOINT])
        await eventually(lambda: replica.asked and replica.asked[-1].get("after") == "1")
        assert replica.cursors == [None, "e.0", "e.1"]
        assert done == pages[:3]
        replica.become("2", "abc")
        await eventually(lambda: len(said) == 2)
        await eventually(lambda: done == pages)
        assert replica.cursors[3] == "e.2"


async def test_a_replica_that_tells_nothing_is_as_healthy_as_any(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of an older release answers 404: its state counts, and it is asked again with the same cursor."""
    monkeypatch.setattr(module, "LISTEN", 0.0)
    replica = Replica(state(), activity=[Activity(epoch="e", cursor="e.7")])
    async with serving(replica, authority, tmp_path), polling(replica, client_of(authority)) as said:
        for version in ("2", "3"):
            await eventually(lambda: replica.asked and "after" in replica.asked[-1])
            replica.become(version, version)
            await eventually(lambda: [one.version for one in said if one][-1] == version)  # noqa: B023
        await eventually(lambda: replica.cursors == [None, "e.7", "e.7"])
        assert None not in said


async def test_one_of_a_fleet_is_visited(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no connection can be kept each visit has one of its own, and waits where something is awaited."""
    monkeypatch.setattr("registry_operator.turns.QUIET", 0.01)
    said: list[ReplicaState | None] = []
    replica = Replica(state())
    async with (
        serving(replica, authority, tmp_path),
        following(replica, said, turns=Turns(held=0, rate=1000)) as replicas,
    ):
        replicas.follow(REGISTRY, SERVER, client_of(authority), [ENDPOINT])
        await eventually(lambda: len(replica.asked) > 2)
        assert {one["wait"] for one in replica.asked} == {"0"}
        replica.become("2", "abc")
        await eventually(lambda: len(said) == 2)
        replicas.attend(REGISTRY)
        await eventually(lambda: float(replica.asked[-1]["wait"]) > 1)
        replica.become("3", "abc")
        await eventually(lambda: len(said) == 3, 1)
        assert not replicas._staying.connector._conns  # type: ignore[union-attr]
        assert not replicas._visiting.connector._conns  # type: ignore[union-attr]


async def test_only_a_replica_that_comes_to_others_has_attention(
    authority: Authority, tmp_path: Path
) -> None:
    """Those of an operator's first look are asked at once, and are what they were, mostly."""
    turns = Turns(held=0)
    async with (
        serving(Replica(state()), authority, tmp_path) as replica,
        following(replica, [], turns=turns) as replicas,
    ):
        replicas.follow(REGISTRY, SERVER, client_of(authority), [ENDPOINT])
        assert not turns.lingers(REGISTRY)
        replicas.follow(REGISTRY, SERVER, client_of(authority), [ENDPOINT, replace(ENDPOINT, pod="pod-b")])
        assert turns.lingers(REGISTRY)


async def test_contexts_are_few(authority: Authority) -> None:
    """Those that were used last are kept; a Secret that changed gets another."""
    contexts = Contexts(size=2)
    trust = Trust(client_of(authority), SERVER)
    keys = [Key("shop", name) for name in "abc"]
    first = contexts.of(keys[0], trust)
    assert first is not None
    assert contexts.of(keys[0], trust) is first
    for key in keys[1:]:
        contexts.of(key, trust)
    assert contexts.of(keys[0], trust) is not first
    assert contexts.of(keys[0], replace(trust, secret=SecretData({"tls.crt": b"broken"}))) is None


async def test_a_fault_in_what_is_heard_ends_no_poll(authority: Authority, tmp_path: Path) -> None:
    """It is heard again: a replica that nobody asks any more would be healthy for ever."""
    said: list[ReplicaState | None] = []

    def report(_registry: Key, _pod: str, found: ReplicaState | None) -> None:
        said.append(found)
        if len(said) == 1:
            raise KeyError

    async with (
        serving(Replica(state()), authority, tmp_path) as replica,
        Replicas(report, lambda *_: None, replica.port) as replicas,
    ):
        replicas.follow(REGISTRY, SERVER, client_of(authority), [ENDPOINT])
        await eventually(lambda: len(said) == 2)
        assert said[0] == said[1]
        replica.become("2", "abc")
        await eventually(lambda: len(said) == 3)
