"""One cluster for all tests that need three zones; and the pods that they put into it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cluster import archive
from local_cluster.build import cache_root
from local_cluster.cluster import Cluster
from local_cluster.parts import Parts
from local_cluster.process import run
from tests.cluster.pods import PROBE, Pods

NAME = "roadstead-test"
SOURCE = Path(__file__).parent / "probe"


@pytest.fixture(scope="session")
def parts() -> Parts:
    return Parts(cache_root())


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with the image of the program in `probe/`."""
    folder = tmp_path_factory.mktemp("probe")
    build = ["go", "build", "-trimpath", "-buildvcs=false", "-o", str(folder / "probe"), "."]
    run(build, cwd=SOURCE, env={"CGO_ENABLED": "0", "GOWORK": "off"})
    archive.write(
        folder / "probe.tar", PROBE, {"probe": (folder / "probe").read_bytes()}, {"Entrypoint": ["/probe"]}
    )
    return folder / "probe.tar"


@pytest.fixture(scope="session")
def measured() -> dict[str, float]:
    """What `cluster` measures: seconds of its `up`, and how many processes waited for each CPU before it."""
    return {}


@pytest.fixture(scope="session")
def cluster(parts: Parts, probe: Path, measured: dict[str, float]) -> Iterator[Cluster]:
    """Up for the whole session, and away after it, unless ROADSTEAD_KEEP_CLUSTER says to keep it."""
    cluster = Cluster(NAME, parts)
    cluster.down()  # what a session that was killed has left
    measured["load"] = os.getloadavg()[0] / (os.cpu_count() or 1)
    started = time.monotonic()
    try:
        cluster.up()
        measured["up"] = time.monotonic() - started
        cluster.load([probe])
        yield cluster
    finally:
        if not os.environ.get("ROADSTEAD_KEEP_CLUSTER"):
            cluster.down()


@pytest.fixture
def pods(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Pods]:
    """A Kubernetes namespace of the test's own, with hands to put pods into it."""
    namespace = request.node.name.removeprefix("test_").replace("_", "-")[:60].rstrip("-")
    cluster.kubectl("create", "namespace", namespace)
    yield Pods(cluster, namespace)
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
