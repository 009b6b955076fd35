"""The public domain behind a real Gateway: TLS passed through to the replicas, or ended and begun there."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

import aiohttp
import pytest
from registry_operator.names import ROUTES_ROLE

from quickstart.kubectl import Object
from quickstart.story import HOSTNAME, NAMESPACE, REGISTRY, TENANT
from tests.certificates import Authority
from tests.e2e.client import Client
from tests.e2e.envoy_gateway import GATEWAY_API, envoy_gateway
from tests.e2e.platform import OPERATOR, Platform

pytestmark = pytest.mark.cluster
EDGE, GATEWAYS = "edge", "gateways"  # a Gateway and its Kubernetes namespace
PORTS = {"TLSRoute": 8443, "HTTPRoute": 7443}


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Of the Gateway's own certificate."""
    return Authority(tmp_path_factory.mktemp("edge"), EDGE)


@pytest.fixture(scope="module")
def address(platform: Platform, ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of the node where the Gateway listens."""
    node = platform.kubectl.list("node", "-l", "topology.kubernetes.io/zone=zone-a")[0]
    addresses = {one["type"]: one["address"] for one in node["status"]["addresses"]}
    with (
        envoy_gateway(platform, node["metadata"]["name"], tmp_path_factory.mktemp("gateway")) as class_name,
        consent(platform),
    ):
        platform.kubectl.apply(*edge(ca, class_name))
        yield addresses["InternalIP"]
        platform.kubectl("delete", "namespace", GATEWAYS)


def edge(ca: Authority, class_name: str) -> tuple[Object, ...]:
    """A Gateway with a listener of each kind, for routes from everywhere."""
    everywhere = {"namespaces": {"from": "All"}}
    ends = {"mode": "Terminate", "certificateRefs": [{"name": EDGE}]}
    listeners = [
        {"name": "passes", "protocol": "TLS", "port": PORTS["TLSRoute"], "tls": {"mode": "Passthrough"}},
        {"name": "ends", "protocol": "HTTPS", "port": PORTS["HTTPRoute"], "tls": ends},
    ]
    served = ca.issue(ca.file.parent / "served", HOSTNAME)
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GATEWAYS}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": EDGE, "namespace": GATEWAYS},
            "type": "kubernetes.io/tls",
            "stringData": {name: (served / name).read_text() for name in ("tls.crt", "tls.key")},
        },
        {
            "apiVersion": GATEWAY_API,
            "kind": "Gateway",
            "metadata": {"name": EDGE, "namespace": GATEWAYS},
            "spec": {
                "gatewayClassName": class_name,
                "listeners": [{**one, "allowedRoutes": everywhere} for one in listeners],
            },
        },
    )


@contextmanager
def consent(platform: Platform) -> Iterator[None]:
    """The tenant lets routes be written."""
    name, namespace = OPERATOR
    words = (f"--clusterrole={ROUTES_ROLE}", f"--serviceaccount={namespace}:{name}", "-n", TENANT)
    platform.kubectl("create", "rolebinding", ROUTES_ROLE, *words)
    try:
        yield
    finally:
        platform.kubectl("delete", "rolebinding", ROUTES_ROLE, "-n", TENANT)


@contextmanager
def exposed(platform: Platform, kind: str) -> Iterator[None]:
    """By such a route, which its controller has accepted."""

    def patch(gateway: Object | None) -> None:
        change = {"spec": {"exposure": {"gateway": gateway}}}
        platform.kubectl("patch", "reg", REGISTRY, "-n", TENANT, "--type=merge", "-p", json.dumps(change))

    patch({"kind": kind, "parentRefs": [{"name": EDGE, "namespace": GATEWAYS}]})
    try:
        platform.until_condition("reg", REGISTRY, TENANT, Exposed="True", Ready="True")
        yield
    finally:
        patch(None)
        platform.kubectl.until("no route", lambda: not platform.kubectl.get(kind.lower(), REGISTRY, TENANT))


async def until_served(client: Client) -> None:
    """A route is accepted some moments before it is in force."""
    async with asyncio.timeout(30):
        while True:
            with suppress(aiohttp.ClientError):
                if (await client.ask("GET", "/v2/")).status == HTTPStatus.OK:
                    return
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("kind", ["TLSRoute", "HTTPRoute"])
async def test_a_gateway_carries_pushes_and_pulls(
    platform: Platform, ca: Authority, address: str, kind: str
) -> None:
    """With the certificate that is said to be seen there; a layer of many parts goes through unbuffered."""
    layer = os.urandom(20 * 1024 * 1024)
    with exposed(platform, kind):
        entry = platform.reach(f"{address}:{PORTS[kind]}")
        client = platform.client(address=entry, timeout=30)
        if kind == "HTTPRoute":
            client = Client(HOSTNAME, ca.file.read_text(), client.user, client.password, 30, entry)
        await until_served(client)
        digest = await client.push_image(f"{NAMESPACE}/carried", kind.lower(), layer)
        assert layer in await client.pull_image(f"{NAMESPACE}/carried", digest)
    direct = platform.client()
    assert layer in await direct.pull_image(f"{NAMESPACE}/carried", digest)
