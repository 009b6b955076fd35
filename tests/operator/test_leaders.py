"""Several operators and one Lease: who works, who takes over, and what a deposed leader can still do."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.operator.apiserver import ApiServer, Object, Refusal
from tests.operator.operator_process import SYSTEM, Cluster, Operator, Relay, install, wait

pytestmark = pytest.mark.cluster
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/roadstead-operator"
HOURS = 6
TAKES_OVER = 90.0  # seconds; measured by benchmarks/failover.py, not here
IN_FLIGHT = 8192  # bytes: more than the Lease alone can have asked by then


@pytest.fixture(scope="module")
def server(fresh: ApiServer) -> ApiServer:
    install(fresh)
    return fresh


@pytest.fixture
def cluster(server: ApiServer) -> Cluster:
    return Cluster(server)


class Fleet:
    """Operators of one test; all end with it."""

    def __init__(self, server: ApiServer, folder: Path, stack: ExitStack) -> None:
        self._server = server
        self._folder = folder
        self._stack = stack
        self._count = 0

    def start(self, url: str = "", **more: str) -> Operator:
        """One that is a candidate from now on."""
        name = f"operator-{self._count}"
        self._count += 1
        own = self._folder / name
        own.mkdir()
        operator = Operator(self._server, self._server.certificate, own, url=url, name=name, more=more)
        self.again(operator)
        return operator

    def again(self, operator: Operator) -> None:
        """As the kubelet starts it."""
        operator.start()
        assert operator.process
        self._stack.callback(end, operator.process)


@pytest.fixture
def fleet(server: ApiServer, tmp_path: Path) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(server, tmp_path, stack)


def end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait(10)


def leads(operator: Operator) -> bool:
    return '"message": "started"' in operator.log.read_text()


def waits(operator: Operator) -> bool:
    return "another operator leads" in operator.log.read_text()


def holder(server: ApiServer) -> str:
    """Whom the Lease names; "" before there is one."""
    try:
        return str(server.ask("GET", LEASE)["spec"].get("holderIdentity") or "")
    except Refusal:
        return ""


def taken(story: str, since: float) -> None:
    print(f"{story}: the next one works after {time.monotonic() - since:.1f} s")


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes the wall clock of a process hours fast."""
    built = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(built), str(source)], check=True)
    return built


def test_one_works_and_the_next_takes_over(
    fleet: Fleet, cluster: Cluster, server: ApiServer, clock: Path
) -> None:
    """At once after a clean stop, when the Lease has run out after a kill; skewed clocks change nothing.

    By the clock of the second the Lease ran out hours ago, and by that of the third the second's goes on for
    hours: each measures by its own monotonic clock since when the Lease has not changed.
    """
    first = fleet.start()
    wait(lambda: leads(first))
    second = fleet.start(LD_PRELOAD=str(clock), SKEW=str(HOURS * 3600))
    wait(lambda: waits(second))
    time.sleep(4)
    assert holder(server) == first.name
    assert [each.probe("livez") for each in (first, second)] == [(HTTPStatus.OK, "ok")] * 2
    assert [each.probe("readyz") for each in (first, second)] == [(HTTPStatus.OK, "ok")] * 2
    assert [each.metric("roadstead_leader") for each in (first, second)] == [1, 0]
    assert second.writes() == 0
    stopped = time.monotonic()
    assert first.stop() == 0
    wait(lambda: leads(second))
    taken("clean stop", stopped)
    renewed = datetime.fromisoformat(server.ask("GET", LEASE)["spec"]["renewTime"])
    assert renewed > datetime.now(UTC) + timedelta(hours=HOURS - 1), "its clock is as it should be"
    third = fleet.start()
    wait(lambda: waits(third))
    killed = time.monotonic()
    second.stop(signal.SIGKILL)
    wait(lambda: leads(third), TAKES_OVER)
    taken("kill", killed)
    cluster.namespace("led")
    cluster.registry("led")
    wait(lambda: cluster.get("Deployment", "led", "harbour"))
    assert server.ask("GET", LEASE)["spec"]["leaseTransitions"] == 2


def test_what_a_stopped_leader_had_on_its_way_is_refused_or_repaired(
    fleet: Fleet, cluster: Cluster, server: ApiServer
) -> None:
    """Stopped with writes in flight, which arrive when another leads.

    What the next leader wrote meanwhile is not overwritten: the password of a new token stays. What it had no
    reason to write is changed by the late request, and is repaired. The stopped one ends without a write.
    """
    relay = Relay(server.url)
    first = fleet.start(relay.url)
    wait(lambda: leads(first))
    cluster.namespace("stopped")
    cluster.registry("stopped", replicas=3)
    deployment = wait(lambda: cluster.get("Deployment", "stopped", "harbour"))
    assert deployment["spec"]["replicas"] == 3
    wait(lambda: cluster.condition("Registry", "stopped", "harbour", "Ready"))
    second = fleet.start()
    wait(lambda: waits(second))
    relay.hold()
    cluster.registry("stopped", replicas=5)
    cluster.token("stopped", "late")
    wait(lambda: relay.held > IN_FLIGHT)
    time.sleep(1)
    assert first.process
    first.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    cluster.registry("stopped", replicas=3)
    wait(lambda: leads(second), TAKES_OVER)
    taken("SIGSTOP", stopped)
    password = wait(lambda: cluster.get("Secret", "stopped", "late"))["data"]
    wait(lambda: len(cluster.policy("stopped").tokens) == 1)
    wait(lambda: observed(cluster, "stopped", 3))
    assert generation(cluster, "stopped") == 1  # nobody had a reason to write it
    refused = partial(server.counted, "apiserver_request_total", code="409", resource="secrets")
    before = refused()
    relay.release()
    wait(lambda: refused() > before, sentence="no late write of a Secret arrived")
    wait(lambda: generation(cluster, "stopped") >= 3, sentence="the late write did not land, or stays")
    assert cluster.get("Deployment", "stopped", "harbour")["spec"]["replicas"] == 3  # type: ignore[index]
    assert cluster.get("Secret", "stopped", "late")["data"] == password  # type: ignore[index]
    everything = versions(cluster, "stopped")
    first.process.send_signal(signal.SIGCONT)
    assert first.process.wait(30) == 1
    assert "the lease was lost" in first.log.read_text()
    assert versions(cluster, "stopped") == everything
    relay.close()


def generation(cluster: Cluster, namespace: str) -> int:
    found = cluster.get("Deployment", namespace, "harbour")
    assert found
    return int(found["metadata"]["generation"])


def observed(cluster: Cluster, namespace: str, generation: int) -> bool:
    """Whether the operator has looked at this generation of the Registry, or a later one."""
    found: Object = cluster.get("Registry", namespace, "harbour") or {}
    return int((found.get("status") or {}).get("observedGeneration", -1)) >= generation


def versions(cluster: Cluster, namespace: str) -> dict[str, Any]:
    kinds = ("Deployment", "Secret", "ConfigMap", "Service", "Registry", "AccessToken")
    return {
        f"{kind} {name}": obj["metadata"]["resourceVersion"]
        for kind in kinds
        for name, obj in cluster.list(kind, namespace).items()
    }


def test_a_leader_that_is_cut_off_ends_and_another_goes_on(
    fleet: Fleet, cluster: Cluster, server: ApiServer
) -> None:
    """Its own clock tells it that it could not renew; when the API server is back it is a candidate again."""
    relay = Relay(server.url)
    first = fleet.start(relay.url)
    wait(lambda: leads(first))
    second = fleet.start()
    wait(lambda: waits(second))
    relay.cut()
    cut = time.monotonic()
    assert first.process
    cluster.namespace("parted")
    cluster.registry("parted")
    assert first.process.wait(TAKES_OVER) == 1
    wait(lambda: cluster.get("Deployment", "parted", "harbour"), TAKES_OVER)
    taken("partition", cut)
    fleet.again(first)
    wait(first.is_alive)
    assert first.probe("readyz")[0] == HTTPStatus.INTERNAL_SERVER_ERROR  # it would not notice the other's end
    relay.heal()
    wait(lambda: first.probe("readyz")[0] == HTTPStatus.OK)
    assert holder(server) == second.name
    first.stop()
    relay.close()
