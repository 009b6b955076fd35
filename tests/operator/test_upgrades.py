"""Day two, by the operator against a real API server: newer operators, upgrades of a fleet, pauses, drift."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from registry_operator.names import REGISTRY_ROLE, SECRETS_ROLE

from tests.operator.apiserver import ApiServer, Object
from tests.operator.operator_process import Cluster, Operator, install, running, settled, wait
from tests.operator.replica import replicas
from tests.unit.operator.kstatus import kstatus

pytestmark = pytest.mark.cluster
IMAGE = "registry.test/roadstead/registry:{}"
MERGE = "application/merge-patch+json"
EVENTS = "/apis/events.k8s.io/v1/namespaces/{}/events"
PATIENCE = 6


@pytest.fixture(scope="module")
def operator(fresh: ApiServer) -> Iterator[Operator]:
    """One whose fleets are upgraded within seconds."""
    quick = {"UPGRADE_SOAK_SECONDS": "1", "UPGRADE_PATIENCE_SECONDS": str(PATIENCE)}
    install(fresh)
    made = Operator(fresh, fresh.certificate, fresh.folder, more=quick)
    made.image = IMAGE.format(1)
    with running(made):
        yield made


def replaced(operator: Operator, tag: int | str) -> None:
    """By one that brings another image, at peace again."""
    operator.stop()
    operator.image = IMAGE.format(tag)
    operator.ready()
    settled(operator)


def annotate(cluster: Cluster, namespace: str, name: str, **annotations: str | None) -> None:
    """None takes one away; an underscore stands for the hyphen."""
    named = {f"roadstead.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
    patch = {"metadata": {"annotations": named}}
    cluster.server.ask("PATCH", cluster.path("Registry", namespace, name), patch, MERGE)


def deployment(cluster: Cluster, namespace: str, name: str = "harbour") -> Object:
    found: Object = wait(lambda: cluster.get("Deployment", namespace, name))
    return found


def runs(cluster: Cluster, namespace: str, name: str = "harbour") -> str:
    """The tag of the image."""
    containers = deployment(cluster, namespace, name)["spec"]["template"]["spec"]["containers"]
    return str(containers[0]["image"]).rpartition(":")[2]


def up_to_date(cluster: Cluster, namespace: str, name: str = "harbour") -> str:
    return str(cluster.condition("Registry", namespace, name, "UpToDate").get("reason"))


def until(cluster: Cluster, namespace: str, reason: str) -> None:
    wait(lambda: up_to_date(cluster, namespace) == reason, sentence=f"UpToDate is not {reason}")


def test_a_newer_operator_changes_no_pods(operator: Operator, cluster: Cluster) -> None:
    """No Deployment is written; an edit of the spec changes what it asks for; an opt-in rolls exactly one."""
    for namespace in ("calm", "eager"):
        cluster.namespace(namespace)
        cluster.registry(namespace)
        until(cluster, namespace, "Newest")
    settled(operator)
    before = {name: deployment(cluster, name)["metadata"] for name in ("calm", "eager")}

    replaced(operator, 2)
    for namespace, metadata in before.items():
        until(cluster, namespace, "UpgradeAvailable")
        assert deployment(cluster, namespace)["metadata"]["resourceVersion"] == metadata["resourceVersion"]
    template = deployment(cluster, "calm")["spec"]["template"]
    cluster.registry("calm", replicas=2)
    wait(lambda: deployment(cluster, "calm")["spec"]["replicas"] == 2)
    assert deployment(cluster, "calm")["spec"]["template"] == template

    message = cluster.condition("Registry", "eager", "harbour", "UpToDate")["message"]
    *_, wanted, _ = message.splitlines()[-1].split()
    assert wanted == f"roadstead.dev/upgrade-to={IMAGE.format(2)}+r1"
    annotate(cluster, "eager", "harbour", upgrade_to=wanted.partition("=")[2])
    wait(lambda: runs(cluster, "eager") == "2")
    settled(operator)
    assert runs(cluster, "calm") == "1"
    status = (cluster.get("Registry", "eager", "harbour") or {})["status"]
    releases = status["release"], status["previousRelease"]
    assert releases == (f"{IMAGE.format(2)}+r1", f"{IMAGE.format(1)}+r1")


def test_an_older_operator_takes_nothing_back_by_itself(operator: Operator, cluster: Cluster) -> None:
    """After the operator's own rollback each Registry keeps what it runs, until it is told otherwise."""
    annotate(cluster, "eager", "harbour", upgrade_to=None)
    settled(operator)
    generation = deployment(cluster, "eager")["metadata"]["generation"]
    replaced(operator, 1)
    assert deployment(cluster, "eager")["metadata"]["generation"] == generation
    assert (runs(cluster, "eager"), runs(cluster, "calm")) == ("2", "1")
    annotate(cluster, "eager", "harbour", upgrade_to="now")
    wait(lambda: runs(cluster, "eager") == "1")
    annotate(cluster, "eager", "harbour", upgrade_to=None)


def test_a_release_outlives_the_deployment_and_the_status(operator: Operator, cluster: Cluster) -> None:
    """A Deployment that somebody deletes, and a status that a backup did not have, are no upgrades."""
    replaced(operator, 3)
    cluster.delete("Deployment", "calm", "harbour")
    wait(lambda: cluster.get("Deployment", "calm", "harbour"))
    assert runs(cluster, "calm") == "1"
    operator.stop()
    path = cluster.path("Registry", "calm", "harbour")
    cluster.server.ask("PATCH", f"{path}/status", {"status": {"release": None}}, MERGE)
    operator.ready()
    until(cluster, "calm", "UpgradeAvailable")
    assert runs(cluster, "calm") == "1"


def test_a_fleet_is_upgraded_one_after_the_other_and_halts(
    operator: Operator, cluster: Cluster, tmp_path: Path
) -> None:
    """Six with real replicas: the third one's pods do not come, the others wait until it is taken back."""
    names = [f"ship-{number}" for number in range(6)]
    cluster.namespace("fleet")
    cluster.secret("fleet", "s3", accessKeyID="id", secretAccessKey="AKIASECRETVALUE")
    for name in names:
        cluster.registry("fleet", name, replicas=1, zones={"minimum": 1}, upgrades={"policy": "Automatic"})
    with ExitStack() as stack:
        for number, name in enumerate(names):
            stack.enter_context(replicas(cluster, "fleet", tmp_path, 40 + number, registry=name))
        fleet = Fleet(cluster, names)
        fleet.until(lambda: all(fleet.is_ready(name) for name in names), "not Ready")
        replaced(operator, 4)

        fleet.until(lambda: len(fleet.order) == 3, "not begun")
        failed = fleet.order[2]
        others = set(names) - set(fleet.order)
        fleet.until(lambda: fleet.reasons(others) == {"UpgradeHalted"}, "goes on")
        assert up_to_date(cluster, "fleet", failed) == "UpgradeFailed"
        assert fleet.reasons(fleet.order[:2]) == {"Newest"}
        assert fleet.largest == 1
        for one in others:
            condition = cluster.condition("Registry", "fleet", one, "UpToDate")
            assert f"fleet/{failed}" in condition["message"]
            assert runs(cluster, "fleet", one) == "3"

        annotate(cluster, "fleet", failed, upgrade_to=f"{IMAGE.format(3)}+r1")
        fleet.until(lambda: {runs(cluster, "fleet", one) for one in others} == {"4"}, "halted")
        assert runs(cluster, "fleet", failed) == "3"


class Fleet:
    """What Kubernetes' own controllers would do: Deployments roll out, but for the third that is upgraded."""

    def __init__(self, cluster: Cluster, names: list[str]) -> None:
        self.cluster = cluster
        self.names = names
        self.order: list[str] = []  # in which the upgrade to another image began
        self.largest = 0  # so many were on their way at a time
        self._images: dict[str, str] = {}

    def until(self, true: Callable[[], Any], sentence: str) -> None:
        def turned() -> Any:
            self._roll()
            return true()

        wait(turned, 90, sentence)

    def is_ready(self, name: str) -> bool:
        return self.cluster.condition("Registry", "fleet", name, "Ready").get("status") == "True"

    def reasons(self, names: Iterable[str]) -> set[str]:
        return {up_to_date(self.cluster, "fleet", name) for name in names}

    def _roll(self) -> None:
        found = self.cluster.list("Deployment", "fleet")
        for name, one in found.items():
            image = one["spec"]["template"]["spec"]["containers"][0]["image"]
            if self._images.setdefault(name, image) != image and name not in self.order:
                self.order.append(name)
            stuck = name in self.order[2:3] and self._images[name] != image
            if not stuck and one.get("status", {}).get("observedGeneration") != one["metadata"]["generation"]:
                self._rolled_out(one)
        reasons = [up_to_date(self.cluster, "fleet", name) for name in self.names]
        self.largest = max(self.largest, reasons.count("Upgrading"))

    def _rolled_out(self, one: Object) -> None:
        counts = ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas")
        status = dict.fromkeys(counts, 1) | {"observedGeneration": one["metadata"]["generation"]}
        path = self.cluster.path("Deployment", "fleet", one["metadata"]["name"])
        self.cluster.server.ask("PATCH", f"{path}/status", {"status": status}, MERGE)


def test_a_paused_registry_is_left_alone_but_for_access(operator: Operator, cluster: Cluster) -> None:
    """Neither an edit nor drift is written; a token's suspension is; without the annotation all of it is."""
    cluster.namespace("paused")
    cluster.registry("paused")
    cluster.token("paused", "robot")
    wait(lambda: cluster.policy("paused").tokens)
    settled(operator)
    annotate(cluster, "paused", "harbour", paused="true")
    wait(lambda: cluster.condition("Registry", "paused", "harbour", "Paused").get("status") == "True")
    service = cluster.path("Service", "paused", "harbour")
    cluster.server.ask("PATCH", service, {"metadata": {"labels": {"app.kubernetes.io/part-of": "x"}}}, MERGE)
    cluster.registry("paused", replicas=7)

    def waits() -> bool:
        message = str(cluster.condition("Registry", "paused", "harbour", "Paused").get("message"))
        return "Deployment harbour" in message and "Service harbour" in message

    wait(waits)
    cluster.token("paused", "robot", suspended=True)
    wait(lambda: [one.suspended for one in cluster.policy("paused").tokens.values()] == [True])
    settled(operator)
    assert deployment(cluster, "paused")["spec"]["replicas"] == 3
    found = cluster.get("Registry", "paused", "harbour") or {}
    assert kstatus(found["metadata"]["generation"], found["status"]) == "InProgress"

    annotate(cluster, "paused", "harbour", paused=None)
    wait(lambda: deployment(cluster, "paused")["spec"]["replicas"] == 7)
    wait(lambda: part_of(cluster.get("Service", "paused", "harbour")) == "roadstead")
    wait(lambda: not cluster.condition("Registry", "paused", "harbour", "Paused"))


def part_of(obj: Object | None) -> str:
    return str((obj or {}).get("metadata", {}).get("labels", {}).get("app.kubernetes.io/part-of"))


def test_drift_is_told(operator: Operator, cluster: Cluster) -> None:
    """Which object, which fields and whose hand, never a value; of a deletion, too, never of our own."""
    cluster.namespace("told")
    cluster.registry("told")
    until(cluster, "told", "Newest")
    cluster.registry("told", replicas=4)
    wait(lambda: deployment(cluster, "told")["spec"]["replicas"] == 4)
    settled(operator)
    assert drift(cluster) == {}

    def is_told(sentence: str) -> bool:
        return any(sentence in note for note in drift(cluster))

    path = f"{cluster.path('Deployment', 'told', 'harbour')}?fieldManager=someones-hand"
    cluster.server.ask("PATCH", path, {"spec": {"replicas": 9}}, MERGE)
    wait(lambda: is_told("Deployment told/harbour: spec.replicas was changed by someones-hand"))
    secret = f"{cluster.path('Secret', 'told', 'harbour-policy-0')}?fieldManager=thief"
    cluster.server.ask("PATCH", secret, {"data": {"policy.json.gz": "bWluZQ=="}}, MERGE)
    wait(lambda: is_told("Secret told/harbour-policy-0: data['policy.json.gz'] was changed by thief"))
    assert not is_told("bWluZQ")
    cluster.delete("Service", "told", "harbour-private")
    wait(lambda: is_told("Service told/harbour-private was deleted by another hand"))

    for number in range(10, 15):
        cluster.server.ask("PATCH", path, {"spec": {"replicas": number}}, MERGE)
        wait(lambda: deployment(cluster, "told")["spec"]["replicas"] == 4)
    wait(lambda: "DriftContested" in drift(cluster).values())


def test_drift_of_a_tokens_secrets_is_told_on_the_token(operator: Operator, cluster: Cluster) -> None:
    """Of the password, of the pull secret, of the ServiceAccount that names it; never of our own writes."""
    for name in ("robots", "robots-app"):
        cluster.namespace(name, consent=SECRETS_ROLE if name.endswith("app") else REGISTRY_ROLE)
    cluster.server.ask(
        "POST", "/api/v1/namespaces/robots-app/serviceaccounts", {"metadata": {"name": "builder"}}
    )
    cluster.registry("robots")
    cluster.token(
        "robots", "robot", pullSecrets={"namespaces": ["robots-app"], "serviceAccounts": ["builder"]}
    )
    pulls = cluster.path("Secret", "robots-app", "robot-pull")
    builder = cluster.path("ServiceAccount", "robots-app", "builder")
    wait(lambda: cluster.server.ask("GET", builder).get("imagePullSecrets"))
    cluster.registry("robots", exposure={"hosts": ["more.example.com"]})
    settled(operator)
    assert drift(cluster, "robots") == {}

    cluster.server.ask("DELETE", pulls)
    theirs = {"data": {"username": "dGhlaXJz"}}
    password = f"{cluster.path('Secret', 'robots', 'robot')}?fieldManager=someones-hand"
    cluster.server.ask("PATCH", password, theirs, MERGE)
    cluster.server.ask("PATCH", builder, {"imagePullSecrets": []}, MERGE)
    wait(lambda: len(drift(cluster, "robots")) == 3, sentence=f"{drift(cluster, 'robots')}")
    cluster.delete("Secret", "robots", "robot")
    wait(lambda: len(drift(cluster, "robots")) == 4, sentence=f"{drift(cluster, 'robots')}")
    settled(operator)
    assert set(drift(cluster, "robots")) == {
        "Secret robots-app/robot-pull was deleted by another hand; it was made again",
        "Secret robots/robot: data.username was changed by someones-hand; it is as it was",
        "ServiceAccount robots-app/builder: imagePullSecrets was changed by another hand; it is as it was",
        "Secret robots/robot was deleted by another hand; another password was made",
    }
    events = cluster.server.ask("GET", EVENTS.format("robots"))["items"]
    whose = {one["regarding"]["kind"] for one in events if one["reason"] == "DriftRepaired"}
    assert whose == {"AccessToken"}


def drift(cluster: Cluster, namespace: str = "told") -> dict[str, str]:
    """Notes of Events on what is there, and their reasons."""
    events = cluster.server.ask("GET", EVENTS.format(namespace))["items"]
    return {one["note"]: one["reason"] for one in events if one["reason"].startswith("Drift")}
