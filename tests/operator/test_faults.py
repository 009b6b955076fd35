"""What goes wrong around the operator: it is killed, its API server is away, deletions are not told."""

import random
import signal
import time
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path

import pytest
from registry_operator import names
from registry_operator.names import SECRETS_ROLE
from registry_operator.reconcile.sweep import FIRST
from registry_operator.seen import CERTIFICATE_VOLUME

from tests.operator.apiserver import ApiServer, Object
from tests.operator.operator_process import Cluster, Operator, Relay, controllers, install, running, wait

pytestmark = pytest.mark.cluster
KILLS = 12


@pytest.fixture(scope="module")
def server(fresh: ApiServer) -> Iterator[ApiServer]:
    install(fresh)
    garbage = ("garbage-collector-controller", "namespace-controller")
    with controllers(fresh, fresh.certificate, fresh.folder, *garbage):
        yield fresh


@pytest.fixture
def cluster(server: ApiServer) -> Cluster:
    return Cluster(server)


@pytest.fixture
def operator(server: ApiServer) -> Iterator[Operator]:
    with running(Operator(server, server.certificate, server.folder)) as operator:
        yield operator


def hashes(cluster: Cluster, namespace: str) -> set[str]:
    return {found for token in cluster.policy(namespace).tokens.values() for found in token.hashes}


def test_killed_at_any_moment_the_next_one_completes_it(operator: Operator, cluster: Cluster) -> None:
    """Twelve kills in the midst of work. No password is made twice, and in the end all is there."""
    moments = random.Random(3)
    cluster.namespace("kills")
    cluster.namespace("kills-app", consent=SECRETS_ROLE)
    cluster.registry("kills", "harbour")
    known: set[str] = set()
    for number in range(KILLS):
        cluster.token("kills", f"robot-{number}", pullSecrets={"namespaces": ["kills-app"]})
        cluster.registry("kills", f"other-{number}")
        time.sleep(moments.uniform(0.0, 0.35))
        operator.stop(signal.SIGKILL)
        now = hashes(cluster, "kills") if cluster.get("Secret", "kills", "harbour-policy-3") else set()
        assert known <= now, "a password that was in force is another now"
        known = now
        operator.ready() if number % 3 else operator.start()  # and sometimes killed while it starts
    operator.stop(signal.SIGKILL)
    operator.ready()
    wait(lambda: len(hashes(cluster, "kills")) == KILLS)
    wait(lambda: len(cluster.list("Secret", "kills-app")) == KILLS)
    wait(lambda: len(cluster.list("Deployment", "kills")) == KILLS + 1)
    assert known <= hashes(cluster, "kills")


def test_an_api_server_that_was_away_is_caught_up_with(cluster: Cluster, tmp_path: Path) -> None:
    """Cut while tokens are made, edited and deleted; then all is true again, by the same process."""
    relay = Relay(cluster.server.url)
    operator = Operator(cluster.server, cluster.server.certificate, tmp_path, url=relay.url)
    cluster.namespace("away")
    cluster.namespace("away-app", consent=SECRETS_ROLE)
    cluster.registry("away")
    with running(operator):
        cluster.token("away", "stays")
        cluster.token("away", "goes", pullSecrets={"namespaces": ["away-app"]})
        wait(lambda: len(hashes(cluster, "away")) == 2)
        wait(lambda: cluster.list("Secret", "away-app"))
        wait(lambda: cluster.get("Service", "away", "harbour"))
        process = operator.process
        relay.cut()
        cluster.delete("AccessToken", "away", "goes")
        cluster.delete("Secret", "away", "stays")
        cluster.delete("Service", "away", "harbour")
        cluster.token("away", "stays", suspended=True)
        cluster.token("away", "comes")
        time.sleep(5)  # less than the Lease: its holder goes on
        relay.heal()
        wait(lambda: {t.suspended for t in cluster.policy("away").tokens.values()} == {True, False}, 40)
        wait(lambda: len(hashes(cluster, "away")) == 2)
        wait(lambda: not cluster.list("Secret", "away-app"))
        for kind, name in (("Service", "harbour"), ("Secret", "stays")):  # deletions that nobody told
            assert wait(partial(cluster.get, kind, "away", name))
        assert operator.process is process
        assert process is not None
        assert process.poll() is None
        assert operator.livez() == (HTTPStatus.OK, "ok")
        relay.cut()  # and now for longer
        cluster.delete("AccessToken", "away", "comes")
        assert process.wait(30) == 1  # whoever lost the Lease ends
        operator.start()  # as the kubelet does
        wait(operator.is_alive)
        time.sleep(3)
        assert operator.livez() == (HTTPStatus.OK, "ok")  # not killed for what is not its fault
        relay.heal()
        wait(lambda: len(hashes(cluster, "away")) == 1, 40)
    relay.close()


def test_what_was_deleted_while_no_operator_was_there_is_cleared(
    operator: Operator, cluster: Cluster
) -> None:
    """The token's pull secret in another namespace stays, labelled; the next operator removes it."""
    cluster.namespace("absent")
    cluster.namespace("absent-app", consent=SECRETS_ROLE)
    cluster.registry("absent")
    cluster.token("absent", "robot", pullSecrets={"namespaces": ["absent-app"]})
    pull = wait(lambda: cluster.get("Secret", "absent-app", "robot-pull"))
    assert pull["metadata"]["labels"]["roadstead.dev/owner-uid"]
    cluster.secret("absent-app", "theirs", key="value")
    wait(lambda: len(hashes(cluster, "absent")) == 1)
    operator.stop()
    cluster.delete("AccessToken", "absent", "robot")
    time.sleep(0.5)
    assert cluster.get("Secret", "absent-app", "robot-pull")
    operator.ready()
    wait(lambda: not hashes(cluster, "absent"))
    wait(lambda: cluster.get("Secret", "absent-app", "robot-pull") is None, 20)
    assert cluster.get("Secret", "absent-app", "theirs")


@pytest.mark.parametrize("order", ["registry first", "token first", "namespace as a whole", "operator gone"])
def test_deletion_in_any_order_leaves_nothing(operator: Operator, cluster: Cluster, order: str) -> None:
    """Nothing waits for a finalizer, and nothing of Roadstead's is left, in other namespaces neither."""
    name = order.replace(" ", "-")
    app = cluster.namespace(f"{name}-app", consent=SECRETS_ROLE)
    cluster.namespace(name)
    cluster.registry(name)
    cluster.claim(name, "pier")
    cluster.token(name, "robot", pullSecrets={"namespaces": [app]})
    wait(lambda: cluster.get("Secret", app, "robot-pull"))
    wait(lambda: cluster.get("Deployment", name, "harbour"))
    steps = [("Registry", "harbour"), ("Claim", "pier"), ("AccessToken", "robot")]
    if order == "operator gone":
        operator.stop()
    if order in {"namespace as a whole", "operator gone"}:
        cluster.server.ask("DELETE", f"/api/v1/namespaces/{name}")
    else:
        for kind, resource in steps if order == "registry first" else reversed(steps):
            cluster.delete(kind, name, resource)
            time.sleep(0.3)
    if order in {"namespace as a whole", "operator gone"}:
        wait(lambda: name not in namespaces(cluster), 60, "the namespace does not go away")
    else:
        kinds = ("Deployment", "Service", "ConfigMap", "Secret", "Role", "NetworkPolicy", "ServiceAccount")
        wait(lambda: not any(cluster.list(kind, name) for kind in kinds), 60, "a child is left")
    if order == "operator gone":
        operator.ready()
    wait(lambda: not cluster.list("Secret", app), 60, "a pull secret is left")


def test_nothing_that_a_tenant_writes_ends_the_operator(operator: Operator, cluster: Cluster) -> None:
    """A time that no calendar has, a path in an annotation, our labels on what is no Registry's.

    Others are served on, by the operator that hears of it and by the one that starts after it.
    """
    cluster.namespace("hostile", consent="")
    cluster.namespace("others")
    cluster.registry("others")
    cluster.token("hostile", "never", expiresAt="9999-12-31T23:59:59-01:00")
    place = "/api/v1/namespaces/hostile/serviceaccounts/path"
    mark = {f"{names.IMAGE_PULL_SECRETS}x": "s AccessToken hostile/../accesstokens"}
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "path", "annotations": mark},
    }
    cluster.server.apply(place, account, "kubectl")
    cluster.server.apply(cluster.path("Deployment", "hostile", "theirs"), theirs(), "kubectl")

    for number in range(1, 3):
        cluster.token("others", f"robot-{number}")
        wait(lambda: len(hashes(cluster, "others")) == number)  # noqa: B023 - within this turn
        time.sleep(FIRST + 1)  # the first sweep
        assert operator.is_alive()
        operator.stop(signal.SIGKILL)
        operator.ready()
    said = cluster.condition("AccessToken", "hostile", "never", "Ready")
    assert said["reason"] == "InvalidResource"
    assert "expiresAt" in said["message"]


def theirs() -> Object:
    """A Deployment of a tenant's own that looks like a Registry's, and has another volume in its place."""
    labels = {
        names.NAME: names.RUNTIME,
        "app.kubernetes.io/managed-by": "roadstead",
        names.INSTANCE: "theirs",
    }
    pod = {
        "containers": [{"name": "one", "image": "example.com/one"}],
        "volumes": [{"name": CERTIFICATE_VOLUME, "emptyDir": {}}],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "theirs", "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def namespaces(cluster: Cluster) -> set[str]:
    return {obj["metadata"]["name"] for obj in cluster.server.ask("GET", "/api/v1/namespaces")["items"]}
