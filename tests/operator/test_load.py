"""Many resources at a time: each of them comes to its end. How fast is a matter of the benchmarks."""

import base64

import pytest
from registry_operator.names import SECRETS_ROLE

from tests.operator.operator_process import Cluster, Operator, wait

pytestmark = pytest.mark.cluster
TOKENS = 200
NAMESPACES = 100


def test_a_burst_of_tokens_is_in_the_policy_and_out_of_it(cluster: Cluster) -> None:
    """All of 200 get in; those that are deleted go, and the others stay."""
    cluster.namespace("burst")
    cluster.registry("burst")
    for number in range(TOKENS):
        cluster.token("burst", f"robot-{number}")
    wait(lambda: len(cluster.policy("burst").tokens) == TOKENS, 90)
    for number in range(TOKENS // 2):
        cluster.delete("AccessToken", "burst", f"robot-{number}")
    wait(lambda: len(cluster.policy("burst").tokens) == TOKENS // 2, 90)

    def ids() -> set[str]:
        tokens = cluster.list("AccessToken", "burst").values()
        return {(one.get("status") or {}).get("id") or "" for one in tokens}

    wait(lambda: cluster.policy("burst").tokens.keys() == ids(), 90)


def test_a_secret_is_repaired_in_each_of_a_hundred_namespaces(operator: Operator, cluster: Cluster) -> None:
    """A password Secret that somebody breaks is whole again, wherever it is."""
    names = [f"tenant-{number}" for number in range(NAMESPACES)]
    cluster.namespace("many")
    cluster.registry("many", allowedNamespaces={"from": "All"})
    for name in names:
        cluster.namespace(name, consent=SECRETS_ROLE)
        refs = {"registryRefs": [{"name": "harbour", "namespace": "many"}]}
        cluster.apply("AccessToken", name, "robot", refs)
    wait(lambda: len(cluster.policy("many").tokens) == NAMESPACES, 90)
    wait(lambda: operator.metric("roadstead_secret_streams") > NAMESPACES)
    paths = [cluster.path("Secret", name, "robot") for name in names]
    whole = [username(cluster, path) for path in paths]
    broken = {"data": {"username": base64.b64encode(b"broken").decode()}}
    for path in paths:
        cluster.server.ask("PATCH", path, broken, "application/merge-patch+json")
    wait(lambda: [username(cluster, path) for path in paths] == whole, 90)


def username(cluster: Cluster, path: str) -> str:
    return str(cluster.server.ask("GET", path)["data"]["username"])
