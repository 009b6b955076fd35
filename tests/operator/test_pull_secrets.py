"""Pull secrets on a real API server: whose namespace takes whose, and ServiceAccounts that name them."""

from __future__ import annotations

import shlex
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest
from registry_operator.desired.consent import mark
from registry_operator.names import REGISTRY_ROLE, SECRETS_ROLE

from tests.operator.apiserver import Object, Refusal
from tests.operator.operator_process import RBAC, Cluster, Operator, settled, wait

pytestmark = pytest.mark.cluster
MERGE = "application/merge-patch+json"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"


def account(cluster: Cluster, namespace: str, name: str, *pull_secrets: str) -> None:
    """A ServiceAccount as its owner makes it."""
    body = {"metadata": {"name": name}, "imagePullSecrets": [{"name": each} for each in pull_secrets]}
    cluster.server.ask("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", body)


def names(cluster: Cluster, namespace: str, name: str) -> list[str]:
    """What its `imagePullSecrets` name."""
    found = cluster.get("ServiceAccount", namespace, name) or {}
    return [one["name"] for one in found.get("imagePullSecrets") or ()]


def marks(cluster: Cluster, namespace: str, name: str) -> list[str]:
    found = cluster.get("ServiceAccount", namespace, name) or {}
    return list(found["metadata"].get("annotations") or {})


def until(cluster: Cluster, namespace: str, name: str, *wanted: str) -> None:
    wait(
        lambda: names(cluster, namespace, name) == list(wanted),
        sentence=f"{namespace}/{name}: {names(cluster, namespace, name)} instead of {wanted}",
    )


def pulls(*namespaces: str, accounts: tuple[str, ...] = (), **more: Any) -> Object:
    return {"pullSecrets": {"namespaces": list(namespaces), "serviceAccounts": list(accounts), **more}}


def distributed(cluster: Cluster, namespace: str, name: str, reason: str) -> str:
    """The message, as soon as the condition has this reason."""

    def said() -> str:
        found = cluster.condition("AccessToken", namespace, name, "Distributed")
        return str(found["message"]) if found.get("reason") == reason else ""

    return str(wait(said, sentence=f"{cluster.condition('AccessToken', namespace, name, 'Distributed')}"))


def run(cluster: Cluster, command: str) -> None:
    """What kubectl does with the command of a condition."""
    words = shlex.split(command)
    namespace = words[words.index("--namespace") + 1]
    match words[1:3]:
        case ["create", "rolebinding"]:
            cluster.consent(namespace, words[3], takes="")
        case ["annotate", "rolebinding"]:
            name, _, value = words[6].partition("=")
            annotate(cluster, namespace, words[3], {name: value})
        case _:
            raise AssertionError(command)


def annotate(cluster: Cluster, namespace: str, binding: str, named: dict[str, str | None]) -> None:
    path = f"{RBAC}/namespaces/{namespace}/rolebindings/{binding}"
    cluster.server.ask("PATCH", path, {"metadata": {"annotations": named}}, MERGE)


def test_service_accounts_name_the_pull_secret_beside_what_others_put_there(cluster: Cluster) -> None:
    """Added and taken out with the field, the name, the target and the token; the rest stays in its order."""
    cluster.namespace("port")
    cluster.registry("port")
    for app in ("app", "other"):
        cluster.namespace(app, consent=SECRETS_ROLE, takes="port")
        account(cluster, app, "web", "regcred")
    cluster.token("port", "robot", **pulls("app", accounts=("web",)))
    until(cluster, "app", "web", "regcred", "robot-pull")
    distributed(cluster, "port", "robot", "Distributed")
    assert names(cluster, "other", "web") == ["regcred"]

    path = cluster.path("ServiceAccount", "app", "web")
    both = {"imagePullSecrets": [{"name": one} for one in ("regcred", "robot-pull", "last")]}
    cluster.server.ask("PATCH", path, both, MERGE)
    cluster.token("port", "robot", **pulls("app", accounts=("web",), name="berth"))
    until(cluster, "app", "web", "regcred", "last", "berth")
    cluster.token("port", "robot", **pulls("other", accounts=("web",), name="berth"))
    until(cluster, "app", "web", "regcred", "last")
    until(cluster, "other", "web", "regcred", "berth")
    cluster.token("port", "robot", **pulls("other", name="berth"))
    until(cluster, "other", "web", "regcred")
    cluster.token("port", "robot", **pulls("other", accounts=("web",), name="berth"))
    until(cluster, "other", "web", "regcred", "berth")
    cluster.delete("AccessToken", "port", "robot")
    until(cluster, "other", "web", "regcred")
    wait(lambda: cluster.get("Secret", "other", "berth") is None)
    assert marks(cluster, "other", "web") == marks(cluster, "app", "web") == []


def test_what_was_there_before_is_nobody_s_to_take_away(cluster: Cluster) -> None:
    """The owner named the Secret first, as one does who applies it all at once: it stays with the owner."""
    cluster.namespace("first-come")
    cluster.registry("first-come")
    account(cluster, "first-come", "web", "robot-pull")
    account(cluster, "first-come", "bare")
    cluster.token("first-come", "robot", **pulls("first-come", accounts=("web", "bare")))
    until(cluster, "first-come", "bare", "robot-pull")
    distributed(cluster, "first-come", "robot", "Distributed")
    cluster.delete("AccessToken", "first-come", "robot")
    until(cluster, "first-come", "bare")
    assert names(cluster, "first-come", "web") == ["robot-pull"]


def test_a_service_account_that_comes_later_is_told_of_and_then_named(
    operator: Operator, cluster: Cluster
) -> None:
    """A controller makes `default` of a new namespace; one that is made anew is as good as the first."""
    cluster.namespace("late")
    cluster.registry("late")
    selector = {"selector": {"matchLabels": {"fleet": "late"}}, "serviceAccounts": ["default"]}
    cluster.token("late", "robot", pullSecrets=selector)
    wait(lambda: cluster.get("Secret", "late", "robot"))
    cluster.namespace("late-app", consent=SECRETS_ROLE, takes="late", fleet="late")
    message = distributed(cluster, "late", "robot", "ServiceAccountNotFound")
    assert "late-app/default" in message
    settled(operator)
    account(cluster, "late-app", "default")
    until(cluster, "late-app", "default", "robot-pull")
    distributed(cluster, "late", "robot", "Distributed")
    cluster.delete("ServiceAccount", "late-app", "default")
    distributed(cluster, "late", "robot", "ServiceAccountNotFound")
    settled(operator)
    account(cluster, "late-app", "default", "regcred")
    until(cluster, "late-app", "default", "regcred", "robot-pull")


def test_entries_of_a_token_that_went_while_no_operator_was_there(
    operator: Operator, cluster: Cluster
) -> None:
    """They are found by their annotation when it is back, and those of living tokens stay."""
    cluster.namespace("away")
    cluster.namespace("away-app", consent=SECRETS_ROLE, takes="away")
    cluster.registry("away")
    account(cluster, "away-app", "web", "regcred")
    for name in ("goes", "stays"):
        cluster.token("away", name, **pulls("away-app", accounts=("web",)))
    wait(lambda: sorted(names(cluster, "away-app", "web")) == ["goes-pull", "regcred", "stays-pull"])
    assert operator.stop() == 0
    cluster.delete("AccessToken", "away", "goes")
    operator.ready()
    until(cluster, "away-app", "web", "regcred", "stays-pull")
    wait(lambda: cluster.get("Secret", "away-app", "goes-pull") is None)


def test_writers_at_the_same_time_lose_nothing(cluster: Cluster) -> None:
    """The list is atomic to the API server: what somebody writes between a look and a write is kept."""
    cluster.namespace("crowd")
    cluster.registry("crowd")
    account(cluster, "crowd", "web")
    robots = [f"robot-{number}" for number in range(8)]
    theirs = [f"theirs-{number}" for number in range(60)]
    path = cluster.path("ServiceAccount", "crowd", "web")
    with ThreadPoolExecutor() as beside:
        written = [beside.submit(wait, partial(add, cluster, path, name)) for name in theirs]
        for name in robots:
            cluster.token("crowd", name, **pulls("crowd", accounts=("web",)))
    assert all(one.result() for one in written)
    wanted = {f"{name}-pull" for name in robots} | set(theirs)
    wait(lambda: set(names(cluster, "crowd", "web")) == wanted, 30, "who lost waits for its next try")


def add(cluster: Cluster, path: str, name: str) -> bool:
    """Another client's read, change and write, as it should be done; whether it came through."""
    found = cluster.server.ask("GET", path)
    found["imagePullSecrets"] = [*(found.get("imagePullSecrets") or ()), {"name": name}]
    try:
        cluster.server.ask("PUT", path, found)
    except Refusal as refusal:
        if refusal.code != HTTPStatus.CONFLICT:
            raise
        return False
    return True


def test_server_side_apply_would_take_the_list_from_its_owner(cluster: Cluster) -> None:
    """The fact that decision 30 rests on: the list is atomic, so entries of several managers never merge."""
    cluster.namespace("atomic")
    account(cluster, "atomic", "web", "regcred")
    ours = {"apiVersion": "v1", "kind": "ServiceAccount", "imagePullSecrets": [{"name": "ours"}]}
    applied = cluster.server.apply(
        cluster.path("ServiceAccount", "atomic", "web"), {**ours, "metadata": {"name": "web"}}
    )
    assert applied["imagePullSecrets"] == [{"name": "ours"}]


@pytest.mark.parametrize("role", [SECRETS_ROLE, REGISTRY_ROLE])
def test_a_namespace_takes_pull_secrets_only_of_accounts_that_it_names(cluster: Cluster, role: str) -> None:
    """The commands of the conditions, one after the other, are enough; taken back, all of it goes."""
    dock, app = f"dock-{role}", f"dock-{role}-app"
    cluster.namespace(dock)
    cluster.registry(dock)
    cluster.namespace(app, consent="")
    account(cluster, app, "web", "regcred")
    cluster.token(dock, "robot", **pulls(dock, app, accounts=("web",)))
    account(cluster, dock, "web")
    both = distributed(cluster, dock, "robot", "SecretsNotPermitted").splitlines()
    commands = [line for line in both if line.startswith("kubectl ")]
    assert [command.split()[1] for command in commands] == ["create", "annotate"]
    if role == REGISTRY_ROLE:
        cluster.consent(app, role, takes="")  # a tenant with a Registry of its own
    else:
        run(cluster, commands[0])
    message = distributed(cluster, dock, "robot", "TargetNotConsenting")
    assert cluster.get("Secret", app, "robot-pull") is None
    assert names(cluster, app, "web") == ["regcred"]
    until(cluster, dock, "web", "robot-pull")  # its own namespace is not asked

    (command,) = [line for line in message.splitlines() if line.startswith("kubectl ")]
    run(cluster, command)
    until(cluster, app, "web", "regcred", "robot-pull")
    distributed(cluster, dock, "robot", "Distributed")

    annotate(cluster, app, role, {mark(dock): None})
    wait(lambda: cluster.get("Secret", app, "robot-pull") is None)
    until(cluster, app, "web", "regcred")
    distributed(cluster, dock, "robot", "TargetNotConsenting")
    assert cluster.get("Secret", dock, "robot-pull")


def test_a_stranger_s_token_places_nothing_where_it_is_not_named(cluster: Cluster) -> None:
    """A name is free there and Roadstead may write Secrets: no other account can use that."""
    cluster.namespace("owner")
    cluster.registry("owner", allowedNamespaces={"from": "All"})
    cluster.namespace("victim", consent=SECRETS_ROLE, takes="owner")
    account(cluster, "victim", "web")
    cluster.namespace("stranger", consent=SECRETS_ROLE)
    there = [{"name": "harbour", "namespace": "owner"}]
    cluster.token("stranger", "robot", registryRefs=there, **pulls("victim", accounts=("web",), name="db"))
    cluster.token("owner", "robot", **pulls("victim", accounts=("web",)))
    until(cluster, "victim", "web", "robot-pull")
    distributed(cluster, "stranger", "robot", "TargetNotConsenting")
    assert cluster.list("Secret", "victim").keys() == {"robot-pull"}


def test_a_service_account_that_cannot_be_written_keeps_no_secret_where_it_may_not_be(
    cluster: Cluster,
) -> None:
    """A rule of the cluster refuses the write: the Secret goes all the same, its name as soon as it may."""
    cluster.namespace("walled")
    cluster.registry("walled")
    cluster.namespace("walled-app", consent=SECRETS_ROLE, takes="walled", wall="yes")
    account(cluster, "walled-app", "web", "regcred")
    cluster.token("walled", "robot", **pulls("walled-app", accounts=("web",)))
    until(cluster, "walled-app", "web", "regcred", "robot-pull")
    wall(cluster)
    annotate(cluster, "walled-app", SECRETS_ROLE, {mark("walled"): "false"})
    wait(lambda: cluster.get("Secret", "walled-app", "robot-pull") is None)
    # The status follows the Secret, and spoke of the policy until now.
    wait(lambda: cluster.condition("AccessToken", "walled", "robot", "Stalled").get("reason") == "Refused")
    assert names(cluster, "walled-app", "web") == ["regcred", "robot-pull"]
    cluster.server.ask("DELETE", f"{ADMISSION}/validatingadmissionpolicybindings/wall")
    until(cluster, "walled-app", "web", "regcred")


def wall(cluster: Cluster) -> None:
    """No ServiceAccount of a namespace with the label may be changed."""
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "resources": ["serviceaccounts"],
        "operations": ["UPDATE"],
    }
    where = {"resourceRules": [rule], "namespaceSelector": {"matchLabels": {"wall": "yes"}}}
    policy = {"matchConstraints": where, "validations": [{"expression": "false", "message": "walled"}]}
    binding = {"policyName": "wall", "validationActions": ["Deny"]}
    for plural, spec in (("policies", policy), ("policybindings", binding)):
        body = {"metadata": {"name": "wall"}, "spec": spec}
        cluster.server.ask("POST", f"{ADMISSION}/validatingadmission{plural}", body)

    def stands() -> bool:
        path = f"{cluster.path('ServiceAccount', 'walled-app', 'web')}?dryRun=All"
        try:
            cluster.server.ask("PATCH", path, {"metadata": {"labels": {"x": "y"}}}, MERGE)
        except Refusal as refusal:
            return "walled" in refusal.message
        return False

    wait(stands)
