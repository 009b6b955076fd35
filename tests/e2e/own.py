"""A Registry of a test's own: with a claim, a token for all of it, and the hands to look after it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from quickstart.kubectl import Object
from quickstart.story import REGISTRY, TENANT
from tests.e2e.client import Client
from tests.e2e.platform import Platform, resource

CONFIG = "/etc/roadstead/config/config.json"
ERRAND = ("python3", "-m", "registry_runtime", "collect", "--config", CONFIG)


@dataclass
class OwnRegistry:
    """In the sample tenant's namespace. `claim` is the Namespace that it holds; its token has its `name`."""

    platform: Platform
    name: str
    claim: str
    prefix: str = field(default_factory=lambda: f"test-{uuid.uuid4()}/")

    @property
    def host(self) -> str:
        return f"{self.name}.roadstead.test"

    @property
    def selector(self) -> str:
        return f"app.kubernetes.io/instance={self.name},app.kubernetes.io/name=registry"

    def declare(self, storage: dict[str, Any] | None = None, **spec: Any) -> None:
        """The Registry as it is from now on: like the sample, on a prefix of its own."""
        sample = self.platform.kubectl.get("reg", REGISTRY, TENANT)
        assert sample
        s3 = {**sample["spec"]["storage"]["s3"], "prefix": self.prefix, **(storage or {})}
        wanted = {"hostname": self.host, "storage": {"s3": s3}, **spec}
        self.platform.kubectl.apply(resource("Registry", self.name, TENANT, wanted))

    @contextmanager
    def claimed(self, **claim: Any) -> Iterator[None]:
        """With Namespace and AccessToken, all Ready, for the time of the block; then all of it goes."""
        kubectl, there = self.platform.kubectl, {"name": self.name}
        rights = [{"repositories": [f"{self.claim}/**"], "actions": ["pull", "push", "delete"]}]
        try:
            kubectl.apply(
                resource(
                    "Namespace", self.claim, TENANT, {"registryRef": there, "name": self.claim, **claim}
                ),
                resource("AccessToken", self.name, TENANT, {"registryRefs": [there], "permissions": rights}),
            )
            kubectl.until_ready("reg", self.name, TENANT, 180)
            kubectl.until_ready("at", self.name, TENANT, 60)
            yield
        finally:
            every = (f"rns/{self.claim}", f"at/{self.name}", f"reg/{self.name}")
            kubectl("delete", *every, "-n", TENANT, "--ignore-not-found")

    def until(self, *, seconds: float = 120, **wanted: str) -> dict[str, Object]:
        return self.platform.until_condition("reg", self.name, TENANT, seconds=seconds, **wanted)

    def pods(self) -> list[Object]:
        """The replicas that are not on their way out."""
        found = self.platform.kubectl.list("pod", "-n", TENANT, "-l", self.selector)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    @property
    def restarts(self) -> dict[str, int]:
        """The replicas, and how often each was restarted."""
        return {
            pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"]
            for pod in self.pods()
        }

    def client(self, target: str = "", **words: Any) -> Client:
        """At the Service, or at `target`, with the token's password."""
        bundle = self.platform.kubectl.get("configmap", f"{self.name}-ca-bundle", TENANT) or {}
        password = self.platform.kubectl.secret(self.name, TENANT)["password"]
        address = self.platform.reach(target or f"{self.name}.{TENANT}:443")
        return Client(self.host, bundle["data"]["ca.crt"], self.name, password, address=address, **words)

    def replica_clients(self, **words: Any) -> list[Client]:
        """One at each replica, past the Service, once all of them are Ready."""
        self.platform.kubectl.until_ready("reg", self.name, TENANT)
        return [self.client(f"{pod['status']['podIP']}:8443", **words) for pod in self.pods()]

    def collect(self, pod: str, *words: str) -> dict[str, Any]:
        """The receipt of a collection in this replica's pod. Raises CommandFailed."""
        command = ("exec", pod, "-n", TENANT, "--", *ERRAND, *words)
        receipt: dict[str, Any] = json.loads(self.platform.kubectl(*command, timeout=60))
        return receipt
