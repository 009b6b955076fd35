"""Replicas of a Registry beside an API server: real ones, each a process with an address of its own.

`python -m tests.operator.replica FOLDER` is one of them. What the kubelet would mount lies in the folder; the
policy is followed by the watch alone. EndpointSlices take no loopback addresses, so these are documentation
addresses (RFC 5737) on the loopback device.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from registry_operator import names
from registry_operator.desired.config import MOUNTS
from registry_operator.models import Key

from registry_runtime import log
from registry_runtime.api.access import AccessLog
from registry_runtime.auth.tokens import Bearers
from registry_runtime.contract.config import RuntimeConfig
from registry_runtime.kubernetes import ApiServer
from registry_runtime.server import Replica, Surroundings
from tests.operator.apiserver import Object
from tests.operator.operator_process import Cluster, wait

PORT = 8443  # of the public domain, in plain HTTP
PROBES = 8080  # of probes and metrics
ADDRESSES = "198.51.100."


@dataclass(frozen=True)
class RunningReplica:
    """One of the replicas."""

    pod: str
    address: str
    process: subprocess.Popen[bytes]

    def login(self, host: str, user: str, password: str) -> int:
        """The status of a request with these credentials, on a new connection."""
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        connection = http.client.HTTPConnection(self.address, PORT, timeout=20)
        try:
            connection.request("GET", "/v2/", headers={"Host": host, "Authorization": f"Basic {basic}"})
            return connection.getresponse().status
        finally:
            connection.close()


@contextmanager
def replicas(
    cluster: Cluster, namespace: str, folder: Path, *numbers: int, registry: str = "harbour"
) -> Iterator[list[RunningReplica]]:
    """Those of a Registry that was applied; `numbers` are no other replica's."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(_running(cluster, Key(namespace, registry), folder, number))
            for number in numbers
        ]
        for one in started:
            wait(lambda one=one: _serves(one), sentence=f"{one.pod} does not serve")  # type: ignore[misc]
        path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{registry}"
        cluster.server.apply(path, _slice(registry, started))
        yield started


@contextmanager
def emptying(cluster: Cluster, namespace: str, folder: Path, number: int) -> Iterator[None]:
    """The pod that deletes the content of Registry harbour; `content` takes the bucket's place."""
    registry = Key(namespace, "harbour")
    address, pod = f"{ADDRESSES}{number}", f"{registry.name}-{number}"
    home = folder / pod
    _mount(cluster, registry, home, address)
    argv = [sys.executable, "-m", "registry_runtime", "empty", "--config", str(home / "config.json")]
    subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    try:
        with (home / "log").open("wb") as output:
            process = subprocess.Popen(argv, stdout=output, stderr=output)
        try:
            path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{registry.name}"
            slice_ = _slice(registry.name, [RunningReplica(pod, address, process)])
            slice_["endpoints"][0]["conditions"] = {"ready": False, "serving": False}
            cluster.server.apply(path, slice_)
            yield
            process.terminate()
            assert process.wait(20) == 0, (home / "log").read_text()
        finally:
            process.kill()
            process.wait()
    finally:
        subprocess.run(["ip", "address", "del", f"{address}/32", "dev", "lo"], check=True)


def content(folder: Path, number: int) -> Path:
    """What lies in the place of the bucket, of Registry harbour."""
    return folder / f"harbour-{number}" / "content"


@contextmanager
def _running(cluster: Cluster, registry: Key, folder: Path, number: int) -> Iterator[RunningReplica]:
    address, pod = f"{ADDRESSES}{number}", f"{registry.name}-{number}"
    home = folder / pod
    _mount(cluster, registry, home, address)
    argv = [
        sys.executable,
        "-m",
        "tests.operator.replica",
        str(home),
        pod,
        cluster.server.url,
        str(cluster.server.certificate),
    ]
    subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    try:
        with (home / "log").open("wb") as output:
            process = subprocess.Popen(argv, stdout=output, stderr=output)
        try:
            yield RunningReplica(pod, address, process)
        finally:
            process.kill()
            process.wait()
    finally:
        subprocess.run(["ip", "address", "del", f"{address}/32", "dev", "lo"], check=True)


def _mount(cluster: Cluster, of: Key, home: Path, address: str) -> None:
    """The configuration and the Secrets that the pod would have, once the operator has made them."""
    namespace, registry = of
    made = wait(lambda: cluster.get("Secret", namespace, f"{registry}-internal"))
    config = wait(lambda: cluster.get("ConfigMap", namespace, f"{registry}-config"))
    (home / "internal").mkdir(parents=True)
    for name, value in made["data"].items():
        (home / "internal" / name).write_bytes(base64.b64decode(value))
    document = json.loads(config["data"]["config.json"].replace(str(MOUNTS), str(home)))
    document["listeners"] = {"address": address, "public": PORT, "private": None, "probes": PROBES}
    document["storage"] = {"kind": "directory", "path": str(home / "content")}
    document["cache"] = document["tls"]["server"] = None
    (home / "config.json").write_text(json.dumps(document))
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/{registry}/token"
    wait(lambda: cluster.get("RoleBinding", namespace, registry))
    (home / "token").write_text(cluster.server.ask("POST", account, {"spec": {}})["status"]["token"])


def _serves(one: RunningReplica) -> bool:
    assert one.process.poll() is None, f"{one.pod} ended"
    try:
        return one.login("localhost", "nobody", "nothing") != HTTPStatus.OK
    except OSError:
        return False


def _slice(registry: str, started: list[RunningReplica]) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": registry,
            "labels": {
                names.NAME: names.RUNTIME,
                names.INSTANCE: registry,
                "app.kubernetes.io/managed-by": "roadstead",
                "kubernetes.io/service-name": registry,
            },
        },
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": PORT}],
        "endpoints": [
            {
                "addresses": [one.address],
                "conditions": {"ready": True},
                "targetRef": {"kind": "Pod", "name": one.pod},
            }
            for one in started
        ],
    }


def main(home: Path, pod: str, url: str, certificate: Path) -> None:
    """Serves until it is killed."""
    config = RuntimeConfig.model_validate_json((home / "config.json").read_bytes())
    key = (home / "internal" / names.SIGNING_KEY).read_bytes()
    bearers = Bearers.load(config.registry, key, config.limits.bearer_seconds)
    surroundings = Surroundings(pod, "zone-a", ApiServer(url, home / "token", certificate))
    replica = Replica(config, surroundings, bearers, AccessLog(log.configure()))
    asyncio.run(replica.run(asyncio.Event()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]))
