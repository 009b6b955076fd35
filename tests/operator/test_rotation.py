"""Passwords that change by themselves, and tokens that end: the operator, an API server and real replicas."""

from __future__ import annotations

import base64
import json
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Self

import pytest
from registry_operator.desired.rotation import MEMORY
from registry_operator.names import SECRETS_ROLE

from registry_runtime.contract.credential import Password
from tests.operator.apiserver import ApiServer, Object
from tests.operator.operator_process import Cluster, Operator, install, running, wait
from tests.operator.replica import RunningReplica, replicas

pytestmark = pytest.mark.cluster
OFTEN = {"every": "2s", "overlap": "1s"}
HOST = "{}.example.com"


@dataclass
class Stage:
    """Registry harbour with two replicas, quay with one, and two namespaces that take pull secrets."""

    operator: Operator
    cluster: Cluster
    replicas: dict[str, list[RunningReplica]]

    def token(self, name: str, **spec: Any) -> None:
        refs = [{"name": name} for name in self.replicas]
        self.cluster.token("turn", name, **{"registryRefs": refs, **spec})
        wait(lambda: self.said(name, "Ready").get("status") == "True", sentence=f"{name} is not Ready")

    def said(self, name: str, condition: str) -> Object:
        return self.cluster.condition("AccessToken", "turn", name, condition)

    def secret(self, name: str, namespace: str = "turn") -> dict[str, str]:
        """The decoded values; empty where there is none."""
        found = self.cluster.get("Secret", namespace, name) or {}
        return {key: base64.b64decode(value).decode() for key, value in found.get("data", {}).items()}

    def answers(self, password: str, user: str = "robot") -> set[int]:
        """What all replicas of all Registries say to this password."""
        return {
            one.login(HOST.format(registry), user, password)
            for registry, ones in self.replicas.items()
            for one in ones
        }

    def following(self, name: str) -> str | None:
        """The next password, which nobody was given."""
        following: str | None = json.loads(self.secret(name)[MEMORY]).get("next")
        return following

    def until_another(self, name: str, password: str, seconds: float = 30) -> str:
        """The password after this one, as soon as it is given out."""
        wait(lambda: self.secret(name)["password"] != password, seconds, f"{name} keeps its password")
        return self.secret(name)["password"]


@pytest.fixture(scope="module")
def stage(fresh: ApiServer) -> Iterator[Stage]:
    install(fresh)
    cluster, folder = Cluster(fresh), fresh.folder
    with running(Operator(fresh, fresh.certificate, folder)) as operator:
        cluster.namespace("turn")
        for name in ("app", "yard"):
            cluster.namespace(name, consent=SECRETS_ROLE)
        for name in ("harbour", "quay"):
            cluster.secret("turn", "s3", accessKeyID="id", secretAccessKey="key")
            cluster.registry("turn", name)
        with (
            replicas(cluster, "turn", folder, 1, 2) as harbour,
            replicas(cluster, "turn", folder, 3, registry="quay") as quay,
        ):
            yield Stage(operator, cluster, {"harbour": harbour, "quay": quay})


@dataclass
class Pullers:
    """Logins with whatever the pull secret holds, at every replica of every host in it, again and again."""

    stage: Stage
    name: str
    namespace: str
    refused: list[str] = field(default_factory=list)
    passwords: list[str] = field(default_factory=list)  # in the order in which they were seen
    logins: int = 0
    running: bool = True

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.running = False
        self._thread.join()

    def _run(self) -> None:
        while self.running:
            config = json.loads(self.stage.secret(f"{self.name}-pull", self.namespace)[".dockerconfigjson"])
            for host, entry in config["auths"].items():
                registry = host.removesuffix(".example.com").removeprefix("private.")
                if host.startswith("private."):
                    continue
                if entry["password"] not in self.passwords:
                    self.passwords.append(entry["password"])
                for one in self.stage.replicas[registry]:
                    status = one.login(host, entry["username"], entry["password"])
                    self.logins += 1
                    if status != HTTPStatus.OK:
                        self.refused.append(f"{one.pod}: {status}")


def test_no_login_fails_while_passwords_change_and_operators_die(stage: Stage) -> None:
    """At two Registries, from two namespaces; who had the password before last is refused in the end."""
    stage.token("robot", rotation=OFTEN, pullSecrets={"namespaces": ["app", "yard"]})
    with Pullers(stage, "robot", "app") as app, Pullers(stage, "robot", "yard") as yard:
        for killed in range(1, 4):
            wait(lambda killed=killed: len(app.passwords) > 2 * killed, 90, "no rotation")  # type: ignore[misc]
            time.sleep(0.3 * killed)
            stage.operator.stop(signal.SIGKILL)
            stage.operator.ready()
        wait(lambda: len(app.passwords) > 8, 90, "no rotation")
        stage.token("robot", pullSecrets={"namespaces": ["app", "yard"]})
        wait(lambda: "rotatesAt" not in stage.cluster.get("AccessToken", "turn", "robot")["status"])  # type: ignore[index]
    assert app.refused == yard.refused == []
    assert app.logins > 100
    assert set(app.passwords[2:]) & set(yard.passwords[2:])
    assert stage.answers(app.passwords[-3]) == {HTTPStatus.UNAUTHORIZED}
    assert len({Password.parse(one).id for one in app.passwords}) == 1


def test_a_password_that_a_replica_does_not_know_is_given_to_nobody(stage: Stage) -> None:
    """One of two replicas sleeps: the next password waits in the Secret, and the one of now goes on."""
    stage.token("patient", rotation={"every": "5s", "overlap": "1s"}, pullSecrets={"namespaces": ["app"]})
    sleeper = stage.replicas["harbour"][1]
    sleeper.process.send_signal(signal.SIGSTOP)
    try:
        known = stage.following("patient")  # maybe: by all replicas
        wait(lambda: stage.following("patient") not in {None, known})
        before = stage.secret("patient")
        time.sleep(7)
        after = stage.secret("patient")
        assert after == before
        assert stage.secret("patient-pull", "app")[".dockerconfigjson"].count(before["password"]) == 4
        assert stage.replicas["harbour"][0].login(HOST.format("harbour"), "x", before["password"]) == 200
    finally:
        sleeper.process.send_signal(signal.SIGCONT)
    given = stage.until_another("patient", before["password"], 60)
    assert json.loads(before[MEMORY])["next"] == given
    assert stage.answers(given) == {HTTPStatus.OK}
    stage.cluster.delete("AccessToken", "turn", "patient")


def test_a_target_that_cannot_be_reached_keeps_the_password_that_it_has(stage: Stage) -> None:
    """Its consent is withdrawn: no password changes until it is back, or is no target any more."""
    stage.cluster.namespace("moody", consent=SECRETS_ROLE)
    wanted = {"namespaces": ["app", "moody"]}
    stage.token("loyal", rotation={"every": "4s", "overlap": "1s"}, pullSecrets=wanted)
    stage.until_another("loyal", stage.secret("loyal")["password"])
    stage.cluster.withdraw("moody", SECRETS_ROLE)
    behind = wait(lambda: stage.said("loyal", "Rotated").get("reason") == "TargetsBehind", 40)
    assert behind
    assert "moody" in stage.said("loyal", "Rotated")["message"]
    assert stage.said("loyal", "Distributed")["reason"] == "SecretsNotPermitted"
    config = json.loads(stage.secret("loyal-pull", "moody")[".dockerconfigjson"])
    (theirs,) = {one["password"] for one in config["auths"].values()}
    time.sleep(6)
    assert stage.answers(theirs) == {HTTPStatus.OK}
    assert stage.said("loyal", "Rotated")["reason"] == "TargetsBehind"

    now = stage.secret("loyal")["password"]
    stage.cluster.token(
        "turn",
        "loyal",
        registryRefs=[{"name": "harbour"}, {"name": "quay"}],
        rotation={"every": "4s", "overlap": "1s"},
        pullSecrets={"namespaces": ["app"]},
    )
    stage.until_another("loyal", now)
    wait(lambda: stage.answers(theirs) == {HTTPStatus.UNAUTHORIZED})
    wait(lambda: stage.said("loyal", "Rotated").get("reason") == "InTime")
    stage.cluster.delete("AccessToken", "turn", "loyal")


def test_one_password_and_one_key_file_for_two_registries(stage: Stage) -> None:
    """Valid in each that lets the account in; the user `_json_key` logs in with the file as it is."""
    stage.token("twice")
    wait(lambda: len(json.loads(stage.secret("twice")["key.json"])["registries"]) == 4)
    secret = stage.secret("twice")
    key = json.loads(secret["key.json"])
    assert key == {
        "username": "twice",
        "password": secret["password"],
        "registries": [
            *("harbour.example.com", "private.harbour.example.com"),
            *("quay.example.com", "private.quay.example.com"),
        ],
    }
    assert stage.answers(secret["password"]) == {HTTPStatus.OK}
    assert stage.answers(secret["key.json"], "_json_key") == {HTTPStatus.OK}
    assert stage.answers(secret["key.json"], "somebody") == {HTTPStatus.UNAUTHORIZED}

    closed = {"from": "Selector", "selector": {"matchLabels": {"nobody": "here"}}}
    stage.cluster.registry("turn", "quay", allowedNamespaces=closed)
    wait(lambda: len(json.loads(stage.secret("twice")["key.json"])["registries"]) == 2)
    (quay,) = stage.replicas["quay"]
    wait(lambda: quay.login("quay.example.com", "twice", secret["password"]) != HTTPStatus.OK)
    assert stage.replicas["harbour"][0].login("harbour.example.com", "twice", secret["password"]) == 200
    stage.cluster.registry("turn", "quay")
    wait(lambda: stage.answers(secret["password"]) == {HTTPStatus.OK})


def test_a_password_that_somebody_writes_into_the_secret_is_no_way_in(stage: Stage) -> None:
    """Written over or deleted, the Secret has a new password at once; another token's is never taken."""
    stage.token("target")
    before = stage.secret("target")
    own = Password.generate(Password.parse(before["password"]).id).text
    path = stage.cluster.path("Secret", "turn", "target")
    for forged in (own, stage.secret("twice")["password"], "hunter2"):
        data = {"data": {"password": base64.b64encode(forged.encode()).decode()}}
        stage.cluster.server.ask("PATCH", path, data, "application/merge-patch+json")
        made = stage.until_another("target", forged)
        wait(lambda made=made: stage.answers(made) == {HTTPStatus.OK})  # type: ignore[misc]
        assert stage.answers(own) == {HTTPStatus.UNAUTHORIZED}
    stage.cluster.delete("Secret", "turn", "target")
    wait(lambda: stage.secret("target").get("password", made) != made)
    wait(lambda: stage.answers(stage.secret("target")["password"]) == {HTTPStatus.OK})
    assert stage.answers(before["password"]) == {HTTPStatus.UNAUTHORIZED}


def test_a_token_goes_at_its_end_or_is_kept(stage: Stage) -> None:
    """With its pull secret and its hash; the Event says why. One that was given more time stays."""
    end = (datetime.now(UTC) + timedelta(seconds=4)).strftime("%Y-%m-%dT%H:%M:%SZ")
    target = {"namespaces": ["app"]}
    for name, rule in (("brief", "Delete"), ("kept", "Keep"), ("longer", "Delete")):
        stage.cluster.token("turn", name, expiresAt=end, whenExpired=rule, pullSecrets=target)
    wait(lambda: stage.secret("brief-pull", "app"))
    uid = stage.cluster.get("AccessToken", "turn", "brief")["metadata"]["uid"]  # type: ignore[index]
    stage.cluster.token("turn", "longer", expiresAfter="1h", whenExpired="Delete", pullSecrets=target)
    wait(lambda: stage.cluster.get("AccessToken", "turn", "brief") is None)
    wait(lambda: not stage.secret("brief-pull", "app"))
    wait(lambda: stage.said("kept", "Ready").get("reason") == "Expired")
    assert stage.cluster.get("AccessToken", "turn", "longer")
    assert stage.secret("longer-pull", "app")

    def told() -> list[Object]:
        events = stage.cluster.list("Event", "turn").values()
        return [one for one in events if one["regarding"]["uid"] == uid and one["reason"] == "Expired"]

    (event, *_) = wait(told)
    assert "whenExpired" in "".join(one["note"] for one in told())
    assert event["regarding"]["name"] == "brief"


def test_no_password_stands_anywhere_but_in_secrets(stage: Stage) -> None:
    """Not the next one either: in annotations, statuses, Events, logs and metrics of all of the above."""
    said = stage.operator.log.read_text() + stage.operator.metrics()
    for namespace in ("turn", "app", "yard"):
        for kind in ("Event", "AccessToken", "Registry", "ConfigMap"):
            said += json.dumps(stage.cluster.list(kind, namespace))
        said += json.dumps([one["metadata"] for one in stage.cluster.list("Secret", namespace).values()])
    assert "rst_" not in said
    assert "TargetsBehind" in said
