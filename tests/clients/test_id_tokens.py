"""ID tokens as passwords of real clients: longer than any password, and all the same to them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.replica import Replica
from tests.api.test_oidc import World
from tests.clients.containerd import containerd
from tests.clients.copier import COPIERS, Copier
from tests.clients.layout import Layout
from tests.clients.workstation import Workstation
from tests.dex import dex


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Anna writes into team/**, and who is of the group reads there."""
    folder = tmp_path_factory.mktemp("oidc")
    storage = {"kind": "directory", "path": str(folder / "data")}
    with dex(tmp_path_factory.mktemp("dex")) as provider, Replica(folder, storage, secure=True) as replica:
        found = World(replica, provider)
        found.enforce(found.policy)
        yield found


@pytest.fixture
def host(world: World) -> str:
    return f"127.0.0.1:{world.replica.ports['public']}"


@pytest.fixture
def image(tmp_path: Path) -> Layout:
    """Of one small layer, tagged v1."""
    layout = Layout(tmp_path / "layout")
    layout.name(layout.image(layout.layer("only", os.urandom(8))), "v1")
    return layout


def at_work(world: World, host: str, home: Path, id_token: str) -> Workstation:
    """Logged in; each client reads what one of them wrote."""
    found = Workstation(home, host, world.replica.authority.file)
    found.program("crane")("auth", "login", host, "-u", "anna", "--password-stdin", stdin=id_token)
    return found


@pytest.mark.parametrize("client", COPIERS)
def test_clients_take_an_id_token_for_a_password(
    world: World, host: str, image: Layout, tmp_path: Path, client: str
) -> None:
    """Anna pushes; who may only read pulls it, and pushes nothing."""
    name = f"{host}/team/{client}"
    anna = Copier.of(client, at_work(world, host, tmp_path / "anna", world.dex.by_password()))
    anna.push(image, f"{name}:v1")
    author = Copier.of(client, at_work(world, host, tmp_path / "author", world.dex.by_browser()))
    assert image.same(author.pull(f"{name}:v1", tmp_path / "back"))
    with pytest.raises(AssertionError, match=r"(?i)denied|forbidden|403"):
        author.push(image, f"{name}:v2")


def test_containerd_takes_it_too(world: World, host: str, image: Layout, tmp_path: Path) -> None:
    """By the password grant, as it asks the token endpoint."""
    name = f"{host}/team/containerd:v1"
    anna = at_work(world, host, tmp_path / "anna", world.dex.by_password())
    Copier.of("crane", anna).push(image, name)
    with containerd() as daemon:
        daemon.trust(host, world.replica.authority.file)
        daemon.pull(name, world.dex.by_browser())
        assert name in daemon("images", "list")
