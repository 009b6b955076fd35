"""The story is told once for all end-to-end tests; each test then looks at it, or breaks it and mends it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from local_cluster.build import cache_root
from local_cluster.cache import locked
from quickstart.kubectl import Kubectl
from quickstart.local import LocalProvider
from quickstart.progress import Progress
from quickstart.story import Story
from tests.e2e.platform import Platform


@contextmanager
def telling(name: str, loopback: str) -> Iterator[Platform]:
    """`make up` on a cluster of this name, and `make down` at the end, unless ROADSTEAD_KEEP_CLUSTER.

    One at a time: it pushes by the registry's name, which this machine knows one address for.
    """
    provider = LocalProvider(name, cache_root(), print, loopback)
    story = Story(provider, f"{name} (a test's)", Progress())
    try:
        with locked(cache_root() / "story.lock", lambda: print("another story is being told; waiting")):
            story.up()
        kubectl = Kubectl(provider.kubectl, provider.kubeconfig)
        yield Platform(story, provider.cluster, kubectl, provider.loopback)
    finally:
        if not os.environ.get("ROADSTEAD_KEEP_CLUSTER"):
            story.down()


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    with telling("roadstead-e2e", "127.0.90.") as stage:
        yield stage
