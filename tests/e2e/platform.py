"""The platform under test: what `make up` makes, on the tests' own cluster, with hands to break it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from registry_operator.desired.consent import mark
from registry_operator.names import ANY_ACCOUNT, SECRETS_ROLE

from local_cluster.cluster import Cluster
from quickstart.kubectl import Kubectl, Object, conditions
from quickstart.story import HOSTNAME, NAMESPACE, REGISTRY, TENANT, TOKEN, Story
from registry_runtime.contract.config import S3Storage
from registry_runtime.storage import open_storage
from registry_runtime.storage.base import Storage
from tests.e2e.client import Answer, Client

API = "roadstead.dev/v1alpha1"
REPLICA = f"app.kubernetes.io/instance={REGISTRY},app.kubernetes.io/name=registry"
OPERATOR = ("roadstead-operator", "roadstead-system")
OPERATORS = f"app.kubernetes.io/name={OPERATOR[0]}"
FIRST = 10  # of the addresses that tests give away; below it are the domains of the story


@dataclass
class Platform:
    """A story told to its end, and its cluster."""

    story: Story
    cluster: Cluster
    kubectl: Kubectl
    loopback: str
    addresses: dict[str, str] = field(default_factory=dict)  # on this machine, by what they lead to

    @property
    def ca(self) -> str:
        return self.story.ca(self.kubectl)

    def client(self, password: str | None = None, *, host: str = HOSTNAME, **words: Any) -> Client:
        """With the sample token's password, if none is given ("" is no credentials)."""
        secret = self.kubectl.secret(TOKEN, TENANT)["password"] if password is None else password
        where = words.pop("address", None) or self.cluster_address(host)
        return Client(host, self.ca, "anybody", secret, address=where, **words)

    def cluster_address(self, host: str) -> str:
        """Where this cluster's domain is on this machine, whatever another cluster says of the name."""
        return self.story.addresses[host]

    def replicas(self) -> list[Object]:
        """The registry's pods, once the Registry is Ready: no rollout is on its way."""
        self.kubectl.until_ready("reg", REGISTRY, TENANT)
        pods = self.kubectl.list("pod", "-n", TENANT, "-l", REPLICA)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def replica_clients(self, password: str) -> list[Client]:
        """A client for each replica, past the Service."""
        return [
            self.client(password, address=self.reach(f"{pod['status']['podIP']}:8443"))
            for pod in self.replicas()
        ]

    def reach(self, target: str) -> str:
        """An address of this machine whose port 443 leads to `target`: IP:PORT or SERVICE.NAMESPACE:PORT."""
        if target not in self.addresses:
            address = f"{self.loopback}{len(self.addresses) + FIRST}"
            self.cluster.forward(f"{address}:443", target)
            self.addresses[target] = address
        return self.addresses[target]

    async def everywhere(self, password: str) -> list[Answer]:
        """What each replica says of this password."""
        clients = self.replica_clients(password)
        return list(await asyncio.gather(*(client.ask("GET", "/v2/") for client in clients)))

    async def until_everywhere(self, password: str, *statuses: int, seconds: float = 5) -> None:
        """Until each replica answers with one of these; fails when the time is over."""
        async with asyncio.timeout(seconds):
            while not {answer.status for answer in await self.everywhere(password)} <= set(statuses):
                await asyncio.sleep(0.02)

    def zone_of(self, selector: str, namespace: str) -> str:
        """The zone that the (first) chosen pod runs in."""
        return self._zone(self.kubectl.list("pod", "-n", namespace, "-l", selector)[0])

    def operators(self) -> list[Object]:
        """The pods of the operator, whichever leads."""
        return self.kubectl.list("pod", "-n", OPERATOR[1], "-l", OPERATORS)

    def zone_of_leader(self) -> str:
        """The zone of the operator that works."""
        self.kubectl.until("an operator leads", lambda: self._leader() is not None)
        leader = self._leader()
        assert leader
        return self._zone(leader)

    def said(self) -> str:
        """The last lines of each operator's log."""
        return self.kubectl("logs", "-n", OPERATOR[1], "-l", OPERATORS, "--prefix", "--tail=20")

    def _leader(self) -> Object | None:
        """The pod that the Lease names, if it is there."""
        name, namespace = OPERATOR
        lease = self.kubectl.get("lease", name, namespace)
        holder = lease["spec"].get("holderIdentity") if lease else None
        return self.kubectl.get("pod", holder, namespace) if holder else None

    def _zone(self, pod: Object) -> str:
        node = self.kubectl.get("node", pod["spec"]["nodeName"])
        assert node
        zone: str = node["metadata"]["labels"]["topology.kubernetes.io/zone"]
        return zone

    def move_operator(self, zone: str) -> str:
        """The leader, and whoever waits, into this zone; returns it."""
        name, namespace = OPERATOR
        nodes = self.kubectl.list("node", "-l", f"topology.kubernetes.io/zone!={zone}")
        others = [node["metadata"]["name"] for node in nodes]
        if self.zone_of_leader() != zone:
            self.kubectl("cordon", *others)
            try:
                self.kubectl("delete", "pod", "-n", namespace, "-l", OPERATORS)
                self.kubectl.until_rolled_out([name], namespace)
            finally:
                self.kubectl("uncordon", *others)
        return zone

    def kill_inside(self, pod: Object) -> None:
        """SIGKILL from the node, by the process id that its container runtime knows."""
        container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
        tasks = self.cluster.exec(pod["spec"]["nodeName"], ["ctr", "-n", "k8s.io", "tasks", "list"])
        line = next(line for line in tasks.stdout.decode().splitlines() if line.startswith(container))
        self.cluster.exec(pod["spec"]["nodeName"], ["sh", "-c", f"kill -9 {line.split()[1]}"])

    def delete_at_once(self, pod: Object) -> None:
        """Without a drain, as a node takes its pods along."""
        place = (pod["metadata"]["name"], "-n", pod["metadata"]["namespace"])
        self.kubectl("delete", "pod", *place, "--grace-period=0", "--force")

    @asynccontextmanager
    async def bucket(self, folder: Path, prefix: str = "") -> AsyncIterator[Storage]:
        """The tenant's bucket, past the registry, with the tenant's own credentials, which `folder` gets."""
        for key, value in self.kubectl.secret("harbour-s3", TENANT).items():
            (folder / key).write_text(value)
        ca = self.kubectl.get("configmap", "s3-ca", TENANT)
        assert ca
        (folder / "ca.crt").write_text(ca["data"]["ca.crt"])
        address = self.cluster.forward("127.0.0.1:0", "s3.s3-system:7070")
        storage = await open_storage(
            S3Storage(
                bucket="harbour",
                endpoint=f"https://127.0.0.1:{address.port}",
                prefix=prefix,
                ca_file=folder / "ca.crt",
                credentials=folder,
            )
        )
        try:
            yield storage
        finally:
            await storage.close()

    def condition(self, kind: str, name: str, namespace: str, condition: str) -> Object:
        """One condition, {} where it is not there."""
        return conditions(self.kubectl.get(kind, name, namespace)).get(condition, {})

    def until_condition(
        self, kind: str, name: str, namespace: str, *, seconds: float = 60, **wanted: str
    ) -> dict[str, Object]:
        """Until each named condition has the wanted reason (`Ready="True"` etc. compare the status)."""

        def holds() -> bool:
            found = conditions(self.kubectl.get(kind, name, namespace))
            return all(value in (found.get(key, {}).get("status"), found.get(key, {}).get("reason"))
                       for key, value in wanted.items())  # fmt: skip

        self.kubectl.until(
            f"{kind} {namespace}/{name} {wanted}",
            holds,
            seconds=seconds,
            why=lambda: json.dumps(conditions(self.kubectl.get(kind, name, namespace)), indent=1),
        )
        return conditions(self.kubectl.get(kind, name, namespace))

    @contextmanager
    def without_operator(self) -> Iterator[None]:
        """The operator is gone for the time of the block, and back and ready after it."""
        name, namespace = OPERATOR
        self.kubectl("scale", "deployment", name, "-n", namespace, "--replicas=0")
        self.kubectl("wait", "pod", "-n", namespace, "-l", OPERATORS, "--for=delete", "--timeout=60s")
        try:
            yield
        finally:
            self.kubectl("scale", "deployment", name, "-n", namespace, "--replicas=2")
            self.kubectl.until_rolled_out([name], namespace)

    @contextmanager
    def account(self, name: str) -> Iterator[None]:
        """A Kubernetes namespace that consented, for the time of the block."""
        self.kubectl.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, consent(name)
        )
        try:
            yield
        finally:
            self.kubectl("delete", "namespace", name, "--timeout=60s")

    @contextmanager
    def open_to_all(self) -> Iterator[None]:
        """Every account may claim names and tokens of the sample registry, for the time of the block."""
        self._allow("All")
        try:
            yield
        finally:
            self._allow("Same")

    def _allow(self, whom: str) -> None:
        patch = json.dumps({"spec": {"allowedNamespaces": {"from": whom}}})
        self.kubectl("patch", "reg", REGISTRY, "-n", TENANT, "--type=merge", "-p", patch)

    def token(self, name: str, namespace: str = TENANT, **spec: Any) -> Object:
        """An AccessToken of the sample registry; `spec` overrides the default of full rights."""
        default = {
            "registryRefs": [{"name": REGISTRY}],
            "permissions": [{"repositories": [f"{NAMESPACE}/**"], "actions": ["pull", "push", "delete"]}],
        }
        return resource("AccessToken", name, namespace, {**default, **spec})

    def issued(self, name: str, namespace: str = TENANT) -> str:
        """The password of a token that has just been applied."""
        self.kubectl.until(
            f"Secret of {name}", lambda: bool(self.kubectl.secret(name, namespace)), seconds=15
        )
        return self.kubectl.secret(name, namespace)["password"]


def resource(kind: str, name: str, namespace: str, spec: Object) -> Object:
    return {
        "apiVersion": API,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def consent(namespace: str) -> Object:
    """The RoleBinding by which a namespace lets Roadstead use its Secrets, pull secrets of all included."""
    name, where = OPERATOR
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {
            "name": SECRETS_ROLE,
            "namespace": namespace,
            "annotations": {mark(ANY_ACCOUNT): "true"},
        },
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": SECRETS_ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": where}],
    }
