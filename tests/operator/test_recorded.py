"""What watches over every file's statuses finds what is untrue, and outlives a CRD."""

from __future__ import annotations

import time
from functools import partial

import pytest

from tests.operator.apiserver import ApiServer
from tests.operator.operator_process import CRDS, Cluster, install, is_deleted, is_served, wait
from tests.operator.recorded import recorded

pytestmark = pytest.mark.cluster
NAME = "registries.roadstead.dev"
MERGE = "application/merge-patch+json"
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Ready",
    "message": "",
    "observedGeneration": 7,
    "lastTransitionTime": "2026-11-21T12:00:00Z",
}


def test_a_crd_that_was_away_is_watched_again(fresh: ApiServer) -> None:
    """A watch that finds no CRD goes on when it is back, and the first status that is untrue is found."""
    install(fresh)
    cluster, path = Cluster(fresh), f"{CRDS}/{NAME}"
    cluster.namespace("shop")
    crd = fresh.ask("GET", path)
    with recorded(fresh) as found:
        fresh.ask("DELETE", path)
        wait(partial(is_deleted, fresh, path))
        time.sleep(2)  # longer than a watch lasts
        fresh.ask("POST", CRDS, {**crd, "metadata": {"name": NAME}})
        wait(partial(is_served, fresh, NAME))
        cluster.registry("shop")
        registry = cluster.path("Registry", "shop", "harbour")
        fresh.ask("PATCH", f"{registry}/status", {"status": {"conditions": [READY]}}, MERGE)
        assert wait(lambda: found.faults, sentence="not found")[0].startswith("Registry shop/harbour")
        found.faults.clear()
