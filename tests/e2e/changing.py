"""A Registry whose spec, certificates, number and zones change, one after another, under load."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from quickstart.kubectl import Object, is_ready
from quickstart.story import TENANT
from tests.e2e.load import Load
from tests.e2e.own import OwnRegistry

SMALL = {"requests": {"cpu": "20m", "memory": "64Mi"}}
ZONES = ("zone-a", "zone-b", "zone-c")
METRICS = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/metrics').read().decode())"
COUNTED = "roadstead_requests_total"
# On a node: so many requests to the Service, a connection each; prints how many were answered.
KNOCK = """
import socket, ssl, sys
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
context = ssl._create_unverified_context()
answered = 0
for _ in range(count):
    with socket.create_connection((host, port), 10) as plain, context.wrap_socket(plain) as wire:
        wire.sendall(f"GET /v2/ HTTP/1.1\\r\\nHost: {sys.argv[4]}\\r\\n\\r\\n".encode())
        answered += wire.recv(12) == b"HTTP/1.1 401"
print(answered)
"""


@dataclass
class Changing(OwnRegistry):
    """`spec` is what is declared beside the storage, `s3` what differs there from the sample's."""

    spec: dict[str, Any] = field(default_factory=lambda: {"resources": SMALL})
    s3: dict[str, Any] = field(default_factory=dict)
    storage: tuple[str, str] = ("s3", "s3-system")  # name and namespace of the S3 server that it uses

    def change(self, **spec: Any) -> None:
        """These fields are so from now on; None takes one away."""
        self.spec = {key: value for key, value in {**self.spec, **spec}.items() if value is not None}
        self.declare(self.s3, **self.spec)

    def settle(self, seconds: float = 300) -> None:
        """Until all of it is so, and serves in every zone."""
        kubectl = self.platform.kubectl
        kubectl.until_ready("reg", self.name, TENANT, seconds)
        self.until(ZoneRedundant="True", seconds=seconds)

    @property
    def status(self) -> Object:
        found = self.platform.kubectl.get("reg", self.name, TENANT) or {}
        return dict(found.get("status") or {})

    def until_replicas(self, least: int, most: int, seconds: float = 240) -> None:
        """Until so many are wanted, and serve."""

        def there() -> bool:
            found = self.platform.kubectl.get("reg", self.name, TENANT)
            return is_ready(found) and least <= (found or {})["status"]["readyReplicas"] <= most

        self.platform.kubectl.until(
            f"{least} to {most} replicas", there, seconds=seconds, why=lambda: json.dumps(self.status)
        )

    # Certificates

    def served(self) -> list[x509.Certificate]:
        """The certificate that each replica serves."""
        found = []
        for pod in self.pods():
            address = self.platform.reach(f"{pod['status']['podIP']}:8443")
            found.append(x509.load_pem_x509_certificate(ssl.get_server_certificate((address, 443)).encode()))
        return found

    def renew(self) -> None:
        """The Secret of the domains' certificate is gone, and made anew: until every replica serves it."""
        before = {one.serial_number for one in self.served()}
        self.platform.kubectl("delete", "secret", f"{self.name}-tls", "-n", TENANT)
        self.platform.kubectl.until(
            "another certificate", lambda: not before & {one.serial_number for one in self.served()}
        )

    def bundle(self) -> str:
        """What clients are to trust."""
        found = self.platform.kubectl.get("configmap", f"{self.name}-ca-bundle", TENANT) or {}
        return str(found["data"]["ca.crt"])

    def trusted(self) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(self.bundle().encode())

    async def turn_ca(self, load: Load, notice: int) -> None:
        """Announced, read by the clients, signing, and the old one gone; the load reads it in time."""
        (old,) = await asyncio.to_thread(self.trusted)
        generation = self.spec.get("tls", {}).get("selfSigned", {}).get("caGeneration", 1) + 1
        asked = {"selfSigned": {"caGeneration": generation, "caNotice": f"{notice}s"}}
        await asyncio.to_thread(self.change, tls=asked)
        await asyncio.to_thread(self._until, "two CAs", lambda: len(self.trusted()) > 1)
        load.client = await asyncio.to_thread(self.client, timeout=load.client.timeout)
        await asyncio.to_thread(
            self._until, "the new one signs", lambda: not any(_signed(one, old) for one in self.served())
        )
        await asyncio.to_thread(self._until, "the old one goes", lambda: old not in self.trusted())
        load.client = await asyncio.to_thread(self.client, timeout=load.client.timeout)

    def _until(self, what: str, true: Callable[[], bool], seconds: float = 180) -> None:
        self.platform.kubectl.until(what, true, seconds=seconds)

    # Zones

    @property
    def home(self) -> str:
        """The zone of its storage, whose loss would be another story."""
        name, namespace = self.storage
        return self.platform.zone_of(f"app.kubernetes.io/name={name}", namespace)

    def drain(self, zone: str) -> None:
        """Its node is cordoned, the replicas there are evicted as the budget allows, and it comes back."""
        (node,) = self.platform.kubectl.list("node", "-l", f"topology.kubernetes.io/zone={zone}")
        name = node["metadata"]["name"]
        words = ("--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector", self.selector)
        try:
            self.platform.kubectl("drain", name, *words, "--timeout=180s", timeout=200)
        finally:
            self.platform.kubectl("uncordon", name)
        self.settle()

    @contextmanager
    def lost(self, *zones: str) -> Iterator[None]:
        """Cut off for the time of the block; whole again after it."""
        for zone in zones:
            self.platform.cluster.cut(zone)
        try:
            yield
        finally:
            for zone in zones:
                self.platform.cluster.heal(zone)

    # Who answered

    def answered(self) -> dict[str, float]:
        """Requests that each replica answered since its start, by zone."""
        found: dict[str, float] = {}
        for pod in self.pods():
            zone = pod["metadata"]["labels"]["topology.kubernetes.io/zone"]
            command = ("exec", pod["metadata"]["name"], "-n", TENANT, "--", "python3", "-c", METRICS)
            lines = self.platform.kubectl(*command).splitlines()
            counts = [float(line.rpartition(" ")[2]) for line in lines if line.startswith(COUNTED)]
            found[zone] = found.get(zone, 0) + sum(counts)
        return found

    def knock(self, zone: str, count: int) -> int:
        """So many requests from this zone's node to the Service; how many were answered."""
        service = self.platform.kubectl.get("service", self.name, TENANT) or {}
        (node,) = self.platform.kubectl.list("node", "-l", f"topology.kubernetes.io/zone={zone}")
        words = [service["spec"]["clusterIP"], "443", str(count), self.host]
        argv = [sys.executable, "-c", KNOCK, *words]
        return int(self.platform.cluster.exec(node["metadata"]["name"], argv).stdout)

    def share(self, zone: str, count: int) -> float:
        """Of requests that begin in this zone: the part that is answered there."""
        before = self.answered()
        assert self.knock(zone, count) == count
        after = self.answered()
        grown = {one: after[one] - before.get(one, 0) for one in after}
        return grown[zone] / sum(grown.values())

    def until_near(self, zone: str) -> None:
        """Until what begins in this zone is answered there: kube-proxy hears late of what went on before."""
        self.settle()
        shares: list[float] = []

        def near() -> bool:
            shares.append(self.share(zone, 20))
            return shares[-1] == 1.0

        self.platform.kubectl.until(f"{zone} answers itself", near, why=lambda: f"shares {shares}")


def _signed(one: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
