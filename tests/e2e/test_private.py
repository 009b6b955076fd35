"""The private domain on the cluster: what it alone serves, who reaches it, and what is counted."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from quickstart.kubectl import Object
from quickstart.story import APPLICATION, HOSTNAME, NAMESPACE, REGISTRY, TENANT, TOKEN
from tests.e2e.client import Client
from tests.e2e.platform import Platform

pytestmark = pytest.mark.cluster
PRIVATE = f"private.{HOSTNAME}"
HELLO = f"/v2/{NAMESPACE}/hello/manifests/1"
SENTENCE = b"only the private domain of this registry serves this: use its host name"
METRICS = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/metrics').read().decode())"
NOBODY = "203.0.113.0/24"  # kept for documentation (RFC 5737)
REFUSED = {"ErrImagePull", "ImagePullBackOff"}


@contextmanager
def declared(platform: Platform, field: str, value: object, usual: object) -> Iterator[None]:
    """A field of the sample Registry's spec, for the time of the block."""

    def patch(wanted: object) -> None:
        words = ("--type=merge", "-p", json.dumps({"spec": {field: wanted}}))
        platform.kubectl("patch", "reg", REGISTRY, "-n", TENANT, *words)

    patch(value)
    try:
        yield
    finally:
        patch(usual)


async def until_answered(client: Client, status: int, seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while (await client.ask("GET", HELLO)).status != status:
            await asyncio.sleep(0.05)


def pod(name: str, **container: object) -> Object:
    """In the application's namespace, with its pull secret, in zone-a."""
    allowed = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "restartPolicy": "Never",
        "imagePullSecrets": [{"name": f"{TOKEN}-pull"}],
        "nodeSelector": {"topology.kubernetes.io/zone": "zone-a"},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{"name": "main", "securityContext": allowed, **container}],
    }
    metadata = {"name": name, "namespace": APPLICATION}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@contextmanager
def running(platform: Platform, made: Object) -> Iterator[str]:
    platform.kubectl.apply(made)
    name = made["metadata"]["name"]
    try:
        yield name
    finally:
        platform.kubectl("delete", "pod", name, "-n", APPLICATION, "--ignore-not-found")


def pulled(platform: Platform, host: str) -> str:
    """What became of a pod whose image its node pulls from this domain: "" where it runs, or the sentence."""
    image = f"{host}/{NAMESPACE}/hello:1"
    said: list[str] = []
    with running(platform, pod("pulling", image=image, imagePullPolicy="Always")) as name:

        def over() -> bool:
            found = platform.kubectl.get("pod", name, APPLICATION) or {}
            states = [one["state"] for one in found["status"].get("containerStatuses", ())]
            waiting = [state.get("waiting", {}) for state in states]
            refused = [one.get("message", "") for one in waiting if one.get("reason") in REFUSED]
            said[:] = refused or ["" for state in states if "running" in state]
            return bool(said)

        platform.kubectl.until(f"a pull from {host}", over, seconds=60)
    return said[0]


def requests(platform: Platform, endpoint: str) -> float:
    """That all replicas answered for this endpoint, as each counts them."""
    lines: list[str] = []
    for one in platform.replicas():
        words = ("exec", one["metadata"]["name"], "-n", TENANT, "--", "python3", "-c", METRICS)
        lines += platform.kubectl(*words, timeout=30).splitlines()
    counted = [line for line in lines if line.startswith("roadstead_requests_total{")]
    return sum(float(line.split()[-1]) for line in counted if f'domain="{endpoint}"' in line)


async def test_a_private_registry_serves_the_cluster_alone(platform: Platform) -> None:
    """Every replica refuses in public, nodes pull by the private entry of the pull secret; it is shown."""
    assert pulled(platform, HOSTNAME) == ""
    password = platform.kubectl.secret(TOKEN, TENANT)["password"]
    private = platform.client(host=PRIVATE)
    with declared(platform, "privateOnly", value=True, usual=False):
        for replica in platform.replica_clients(password):
            await until_answered(replica, 403)
            refused = await replica.ask("GET", HELLO)
            assert refused.codes == ["DENIED"]
            assert SENTENCE in refused.body
            assert (await replica.push_blob(f"{NAMESPACE}/hello", b"x")).status == 403
            assert (await replica.ask("GET", "/v2/")).status == 200
        assert (await private.ask("GET", HELLO)).status == 200
        table = platform.kubectl("get", "reg", REGISTRY, "-n", TENANT).splitlines()
        place = table[0].index("PRIVATE ONLY")
        assert table[1][place:].split()[0] == "true"

        before = requests(platform, "private")
        assert "403 Forbidden" in pulled(platform, HOSTNAME)
        assert requests(platform, "private") == before
        assert pulled(platform, PRIVATE) == ""
        assert requests(platform, "private") > before
    await until_answered(platform.client(), 200)


async def test_the_private_port_is_held(platform: Platform) -> None:
    """From other subnets nothing reaches it; pods do, and the public domain stays as it is."""
    private, public = platform.client(host=PRIVATE, timeout=2), platform.client()
    await until_answered(private, 200)
    usual = {"privateNetworks": None}
    with declared(platform, "exposure", {"privateNetworks": [NOBODY]}, usual):
        async with asyncio.timeout(20):
            while await reached(private):
                await asyncio.sleep(0.2)
        assert (await public.ask("GET", HELLO)).status == 200
        assert from_a_pod(platform, f"{REGISTRY}-private.{TENANT}") == "reached"
    async with asyncio.timeout(20):
        while not await reached(private):
            await asyncio.sleep(0.2)


async def reached(client: Client) -> bool:
    try:
        return (await client.ask("GET", HELLO)).status == 200
    except (OSError, TimeoutError):
        return False


def from_a_pod(platform: Platform, service: str) -> str:
    """What a program in a pod of another namespace says of a connection to a Service."""
    deployment = platform.kubectl.get("deployment", REGISTRY, TENANT) or {}
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    program = f"import socket; socket.create_connection(({service!r}, 443), 5); print('reached')"
    made = pod("asking", image=image, command=["python3", "-c", program])
    with running(platform, made) as name:
        ended = "--for=jsonpath={.status.phase}=Succeeded"
        platform.kubectl("wait", "pod", name, "-n", APPLICATION, ended, "--timeout=30s")
        said = platform.kubectl("logs", name, "-n", APPLICATION)
    return re.sub(r"\s+", "", said)
