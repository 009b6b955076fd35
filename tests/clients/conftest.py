"""The registry that clients meet: a replica with accounts, over TLS, on a directory and on S3."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.api.replica import ROBOT, Replica
from tests.clients.copier import COPIERS, Copier
from tests.clients.layout import Layout
from tests.clients.workstation import Program, Workstation
from tests.s3_server import s3_server


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with s3_server(tmp_path_factory.mktemp("s3") / "server") as server:
        yield server.bucket("clients", prefix="tenant/").model_dump(mode="json")


@pytest.fixture(scope="session", params=["directory", "s3-encrypted"])
def replica(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    directory = tmp_path_factory.mktemp(request.param)
    storage = {"kind": "directory", "path": str(directory / "data")}
    encrypted = "encrypted" in request.param
    if encrypted:
        storage = request.getfixturevalue("bucket")
    with Replica(directory, storage, secure=True, encrypted=encrypted) as running:
        yield running


@pytest.fixture
def host(replica: Replica) -> str:
    return f"127.0.0.1:{replica.ports['public']}"


@pytest.fixture
def name(host: str) -> str:
    """A repository of the test's own."""
    return f"{host}/team/{uuid.uuid4().hex[:12]}"


@pytest.fixture
def workstation(replica: Replica, host: str, tmp_path: Path) -> Workstation:
    return Workstation(tmp_path / "home", host, replica.authority.file)


@pytest.fixture
def elsewhere(workstation: Workstation, tmp_path: Path) -> Workstation:
    """Somebody else's, where nobody has logged in."""
    return replace(workstation, home=tmp_path / "elsewhere")


@pytest.fixture
def crane(workstation: Workstation) -> Program:
    """Logged in; what it writes, ~/.docker/config.json, the other clients of the workstation read as well."""
    program = workstation.program("crane")
    program("auth", "login", workstation.host, "--username=iamapikey", "--password-stdin", stdin=ROBOT.text)
    return program


@pytest.fixture(params=COPIERS)
def copier(request: pytest.FixtureRequest, workstation: Workstation, crane: Program) -> Copier:
    return Copier.of(request.param, workstation)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An image that was never pushed before: two layers, one of them 20 MiB; tagged v1."""
    layout = Layout(tmp_path / "layout")
    layers = layout.layer("small", os.urandom(8)), layout.layer("large", os.urandom(20 << 20))
    layout.name(layout.image(*layers), "v1")
    return layout
