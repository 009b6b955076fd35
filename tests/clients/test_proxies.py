"""Behind a proxy: one that ends TLS in front of the replicas, and one that passes it through."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.api.client import Client
from tests.api.replica import ROBOT, Replica
from tests.certificates import Authority
from tests.clients.copier import Copier
from tests.clients.haproxy import HAProxy, haproxy
from tests.clients.layout import Layout
from tests.clients.workstation import Workstation


@dataclass(frozen=True)
class Edge:
    """A port of the proxy, and the CA of the certificate that clients see there."""

    port: int
    authority: Path


@pytest.fixture(scope="module")
def proxy(replica: Replica, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HAProxy, Path]]:
    """With a certificate of another CA than the replica's, which it trusts by that CA alone."""
    folder = tmp_path_factory.mktemp("haproxy")
    authority = Authority(folder / "ca")
    certificate = authority.issue(folder / "tls", "127.0.0.1")
    with haproxy(replica, certificate, folder) as running:
        yield running, authority.file


@pytest.fixture(params=["terminates", "passes"])
def edge(request: pytest.FixtureRequest, proxy: tuple[HAProxy, Path], replica: Replica) -> Edge:
    running, authority = proxy
    if request.param == "passes":
        return Edge(running.passes, replica.authority.file)
    return Edge(running.terminates, authority)


@pytest.mark.parametrize("client", ["crane", "skopeo"])
def test_images_go_through_the_proxy(
    client: str, edge: Edge, replica: Replica, layout: Layout, tmp_path: Path
) -> None:
    """A login, a push of a large layer and a pull, all by the proxy's address, and by its certificate."""
    host = f"127.0.0.1:{edge.port}"
    workstation = Workstation(tmp_path / "home", host, edge.authority)
    crane = workstation.program("crane")
    crane("auth", "login", host, "--username=iamapikey", "--password-stdin", stdin=ROBOT.text)
    copier = Copier.of(client, workstation)
    image = f"{host}/team/through-{client}-{edge.port}:v1"
    copier.push(layout, image)
    assert layout.same(copier.pull(image, tmp_path / "back"))


def test_a_challenge_names_the_host_that_was_asked(edge: Edge) -> None:
    """The proxy passes Host on, so tokens are asked for where the client came in; whatever else it says."""
    trust = ssl.create_default_context(cafile=str(edge.authority))
    client = Client("127.0.0.1", edge.port, trust)
    said = {"X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "http", "Forwarded": "host=evil.test"}
    answer = client.raw("GET", "/v2/", headers=said)
    assert answer.status == 401
    assert f'realm="https://127.0.0.1:{edge.port}/token"' in str(answer["WWW-Authenticate"])
