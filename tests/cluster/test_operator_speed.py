"""How fast the operator is, and what it costs while nothing happens. The figures are printed with -s."""

import base64
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from registry_operator.names import SECRETS_ROLE

from tests.cluster.apiserver import ApiServer, apiserver
from tests.cluster.operator_process import Cluster, Operator, install, running, wait

pytestmark = pytest.mark.cluster
TOKENS = 200
NAMESPACES = 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("apiserver")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ApiServer]:
    with apiserver(folder) as server:
        install(server)
        yield server


@pytest.fixture(scope="module")
def operator(server: ApiServer, folder: Path) -> Iterator[Operator]:
    operator = Operator(server, folder / "certs" / "apiserver.crt", folder, compiled=folder / "compiled")
    with running(operator):
        operator.stop()  # the first start has compiled the code
        yield operator.ready()


@pytest.fixture
def cluster(operator: Operator) -> Cluster:
    return Cluster(operator.server)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def test_idle_with_ten_registries(operator: Operator, cluster: Cluster) -> None:
    """At most 120 MiB, and hardly a request: the Lease's renewal is nearly all."""
    cluster.namespace("idle")
    cluster.secret("idle", "s3", accessKeyID="id", secretAccessKey="secret")
    for number in range(10):
        cluster.registry("idle", f"harbour-{number}")
        cluster.claim("idle", f"pier-{number}", {"name": f"harbour-{number}"})
        cluster.token("idle", f"robot-{number}", f"harbour-{number}")
    wait(lambda: len(cluster.list("Deployment", "idle")) == 10)
    time.sleep(8)
    before = operator.metric("roadstead_api_requests_total")
    time.sleep(10)
    rate = (operator.metric("roadstead_api_requests_total") - before) / 10
    print(f"\nidle with 10 Registries: {operator.rss():.1f} MiB, {rate:.1f} requests a second")
    assert rate < 2
    assert operator.rss() < 120


def test_a_burst_of_tokens_is_in_the_policy_within_a_second(operator: Operator, cluster: Cluster) -> None:
    """200 tokens, one apply after the other: from each one's apply to its hash in the policy."""
    cluster.namespace("burst")
    cluster.registry("burst")
    wait(lambda: cluster.get("Deployment", "burst", "harbour"))
    applied: dict[str, float] = {}
    in_force: dict[str, float] = {}

    def watch() -> None:
        end = time.monotonic() + 90
        while len(in_force) < TOKENS and time.monotonic() < end:
            now = time.monotonic()
            for found in cluster.policy("burst").tokens:
                in_force.setdefault(found, now)
            time.sleep(0.02)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        for number in range(TOKENS):
            name = f"robot-{number}"
            applied[name] = time.monotonic()
            cluster.token("burst", name)
        watching.result()
    ids = {
        name: token["status"]["id"] for name, token in wait(lambda: all_with_ids(cluster, "burst")).items()
    }
    took = [in_force[ids[name]] - applied[name] for name in applied]
    p50, p99 = percentile(took, 0.5), percentile(took, 0.99)
    writes = operator.metric("roadstead_reconciles_total", kind="Policy")
    print(f"\n{TOKENS} tokens: applied → policy p50 {p50:.3f} s, p99 {p99:.3f} s, {writes:.0f} policies")
    assert p99 < 1.0


def all_with_ids(cluster: Cluster, namespace: str) -> dict[str, dict[str, dict[str, str]]] | None:
    tokens = cluster.list("AccessToken", namespace)
    complete = len(tokens) == TOKENS and all((one.get("status") or {}).get("id") for one in tokens.values())
    return tokens if complete else None


def test_a_right_that_is_withdrawn_leaves_the_policy_at_once(cluster: Cluster) -> None:
    """Fifty deletions, one after the other: each token's hash is gone within 200 ms at the median."""
    took = []
    for number in range(50):
        before = len(cluster.policy("burst").tokens)
        began = time.monotonic()
        cluster.delete("AccessToken", "burst", f"robot-{number}")
        wait(lambda: len(cluster.policy("burst").tokens) < before)  # noqa: B023
        took.append(time.monotonic() - began)
    p50, p99 = percentile(took, 0.5), percentile(took, 0.99)
    print(f"\ndeleted → out of the policy: p50 {p50:.3f} s, p99 {p99:.3f} s")
    assert p50 < 0.2
    assert p99 < 1.0


def test_a_changed_secret_is_noticed_with_a_hundred_namespaces(operator: Operator, cluster: Cluster) -> None:
    """A password Secret that somebody breaks in each of 100 namespaces is whole again: p99 ≤ 5 s."""
    names = [f"tenant-{number}" for number in range(NAMESPACES)]
    cluster.namespace("many")
    cluster.registry("many", allowedNamespaces={"from": "All"})
    for name in names:
        cluster.namespace(name, consent=SECRETS_ROLE)
        cluster.apply(
            "AccessToken", name, "robot", {"registryRefs": [{"name": "harbour", "namespace": "many"}]}
        )
    wait(lambda: len(cluster.policy("many").tokens) == NAMESPACES, 60)
    wait(lambda: operator.metric("roadstead_secret_streams") > NAMESPACES)
    time.sleep(3)
    took = []
    for name in names:
        path = cluster.path("Secret", name, "robot")
        whole = cluster.server.ask("GET", path)["data"]["username"]
        broken = {"data": {"username": base64.b64encode(b"broken").decode()}}
        began = time.monotonic()
        cluster.server.ask("PATCH", path, broken, "application/merge-patch+json")
        wait(lambda: cluster.server.ask("GET", path)["data"]["username"] == whole)  # noqa: B023
        took.append(time.monotonic() - began)
    p50, p99 = percentile(took, 0.5), percentile(took, 0.99)
    print(f"\nSecret changed → repaired, {NAMESPACES} namespaces: p50 {p50:.3f} s, p99 {p99:.3f} s")
    print(f"with them: {operator.rss():.1f} MiB")
    assert p99 < 5
