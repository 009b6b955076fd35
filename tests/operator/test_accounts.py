"""Accounts on a real API server: a name is its owner's, until the Registry's owner says otherwise."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from registry_operator.names import RELEASE

from tests.operator.operator_process import Cluster, Operator, controllers, install, running, wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.operator.apiserver import ApiServer, Object

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def server(fresh: ApiServer) -> Iterator[ApiServer]:
    """With an operator, and with what deletes a Kubernetes namespace."""
    install(fresh)
    with (
        controllers(fresh, fresh.certificate, fresh.folder, "namespace-controller"),
        running(Operator(fresh, fresh.certificate, fresh.folder)),
    ):
        yield fresh


@pytest.fixture
def cluster(server: ApiServer) -> Cluster:
    return Cluster(server)


def bound(cluster: Cluster, account: str, name: str, reason: str) -> Object:
    """The condition, once it has this reason."""

    def condition() -> Object | None:
        seen.append(cluster.condition("Claim", account, name, "Bound"))
        return seen[-1] if seen[-1].get("reason") == reason else None

    seen: list[Object] = []
    found: Object = wait(condition, sentence=lambda: f"{account}/{name} is not {reason}: {seen[-1:]}")
    return found


def in_policy(cluster: Cluster, host: str) -> tuple[set[str], set[str]]:
    """Names that are bound, and the accounts whose tokens count."""
    policy = cluster.policy(host)
    return set(policy.namespaces), {token.account for token in policy.tokens.values()}


def released(cluster: Cluster, host: str, condition: Object) -> None:
    """Does to the letter what the condition tells the Registry's owner to do."""
    command = condition["message"].splitlines()[-1]
    name = re.fullmatch(
        rf"kubectl annotate registry\.roadstead\.dev harbour --namespace {host} --overwrite {RELEASE}=(\S+)",
        command,
    )
    assert name, command
    metadata = {"metadata": {"annotations": {RELEASE: name[1]}}}
    cluster.server.ask(
        "PATCH", cluster.path("Registry", host, "harbour"), metadata, "application/merge-patch+json"
    )


def remade(cluster: Cluster, account: str) -> None:
    """The Kubernetes namespace is deleted with all that is in it, and somebody makes one of that name."""
    place = f"/api/v1/namespaces/{account}"
    cluster.server.ask("DELETE", place)
    listed = "/api/v1/namespaces"
    wait(
        lambda: account not in {one["metadata"]["name"] for one in cluster.server.ask("GET", listed)["items"]}
    )
    cluster.namespace(account)


def test_a_kubernetes_namespace_made_again_is_somebody_else(cluster: Cluster) -> None:
    """It gets neither name nor token of before, until the Registry's owner releases the name."""
    cluster.namespace("lender")
    cluster.namespace("tenant")
    cluster.registry("lender", allowedNamespaces={"from": "All"})
    there = {"name": "harbour", "namespace": "lender"}
    cluster.claim("tenant", "pier", there)
    cluster.token("tenant", "robot", registryRefs=[there])
    wait(lambda: in_policy(cluster, "lender") == ({"pier"}, {"tenant"}))
    before = cluster.policy("lender")

    remade(cluster, "tenant")
    wait(lambda: in_policy(cluster, "lender") == (set(), set()))
    cluster.claim("tenant", "pier", there)
    cluster.token("tenant", "robot", registryRefs=[there])
    lost = bound(cluster, "tenant", "pier", "OwnerChanged")
    assert lost["status"] == "False"
    assert "inherits nothing" in lost["message"]
    wait(lambda: in_policy(cluster, "lender") == (set(), {"tenant"}))
    now = cluster.policy("lender")
    assert not now.tokens.keys() & before.tokens.keys(), "an id is never given twice"
    assert {one.owner for one in now.tokens.values()} != {one.owner for one in before.tokens.values()}

    released(cluster, "lender", lost)
    bound(cluster, "tenant", "pier", "Bound")
    assert cluster.policy("lender").namespaces["pier"].owner != before.namespaces["pier"].owner


def test_a_name_outlives_its_resource(cluster: Cluster) -> None:
    """Nobody inherits the content of a Namespace that was deleted; its account gets it back at once."""
    for account in ("estate", "former", "heir"):
        cluster.namespace(account)
    cluster.registry("estate", allowedNamespaces={"from": "All"})
    there = {"name": "harbour", "namespace": "estate"}
    cluster.claim("former", "pier", there)
    bound(cluster, "former", "pier", "Bound")
    cluster.delete("Claim", "former", "pier")
    wait(lambda: not cluster.policy("estate").namespaces)

    cluster.claim("heir", "pier", there)
    taken = bound(cluster, "heir", "pier", "NameTaken")
    assert "former" not in taken["message"], "whose it is stays between the owners"
    cluster.claim("former", "pier", there)
    bound(cluster, "former", "pier", "Bound")
    released(cluster, "estate", taken)
    cluster.claim("former", "quay", there)
    bound(cluster, "former", "quay", "Bound")
    assert cluster.policy("estate").namespaces["pier"].account == "former", "who claims a name keeps it"

    cluster.delete("Claim", "former", "pier")
    bound(cluster, "heir", "pier", "Bound")
    assert cluster.policy("estate").namespaces["pier"].account == "heir"


def test_who_is_let_in_no_longer_is_out_at_once(cluster: Cluster) -> None:
    """By the Registry, or by the label that it asks for; the name waits for its owner meanwhile."""
    cluster.namespace("pilot", crew="yes")
    cluster.namespace("sailor", crew="yes")
    cluster.namespace("rival", crew="yes")
    there = {"name": "harbour", "namespace": "pilot"}
    rule = {"from": "Selector", "selector": {"matchLabels": {"crew": "yes"}}}
    cluster.registry("pilot", allowedNamespaces=rule)
    cluster.claim("sailor", "pier", there)
    cluster.token("sailor", "robot", registryRefs=[there])
    wait(lambda: in_policy(cluster, "pilot") == ({"pier"}, {"sailor"}))

    def crew(answer: str) -> None:
        labels = {"metadata": {"labels": {"crew": answer}}}
        cluster.server.ask("PATCH", "/api/v1/namespaces/sailor", labels, "application/merge-patch+json")

    crew("no")
    refused = bound(cluster, "sailor", "pier", "NotAllowed")
    assert "spec.allowedNamespaces" in refused["message"]
    wait(lambda: in_policy(cluster, "pilot") == (set(), set()))
    cluster.claim("rival", "pier", there)
    bound(cluster, "rival", "pier", "NameTaken")
    crew("yes")
    bound(cluster, "sailor", "pier", "Bound")
    wait(lambda: in_policy(cluster, "pilot") == ({"pier"}, {"sailor"}))

    cluster.registry("pilot", allowedNamespaces={"from": "Same"})
    bound(cluster, "sailor", "pier", "NotAllowed")
    wait(lambda: in_policy(cluster, "pilot") == (set(), set()))


def test_a_guest_is_known_by_its_resource(cluster: Cluster) -> None:
    """A role for another account's AccessToken follows that resource: made, deleted, and made again."""
    cluster.namespace("landlord")
    cluster.namespace("lodger")
    cluster.registry("landlord", allowedNamespaces={"from": "All"})
    access = [{"role": "Reader", "subjects": [{"accessToken": {"name": "robot", "namespace": "lodger"}}]}]
    spec = {"registryRef": {"name": "harbour"}, "name": "pier", "access": access}
    cluster.apply("Claim", "landlord", "pier", spec)

    def guests() -> set[str]:
        entries = cluster.policy("landlord").namespaces["pier"].access
        return {one for entry in entries for one in entry.subjects}

    bound(cluster, "landlord", "pier", "Bound")
    assert guests() == set(), "nobody yet"
    there = {"name": "harbour", "namespace": "landlord"}
    cluster.token("lodger", "robot", registryRefs=[there])
    (first,) = wait(guests)
    cluster.delete("AccessToken", "lodger", "robot")
    wait(lambda: not guests())
    cluster.token("lodger", "robot", registryRefs=[there])
    (second,) = wait(guests)
    assert first != second
