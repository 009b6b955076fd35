"""Where the three zones come from: our own local cluster, or kind where Docker is."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from local_cluster.images import Images
from quickstart.command import run
from quickstart.errors import CommandFailed


class Provider(Protocol):
    """All that differs between the two."""

    @property
    def kubeconfig(self) -> Path:
        """Of the cluster's administrator."""

    @property
    def kubectl(self) -> str:
        """The program, on PATH or by its path."""

    def build(self) -> Images:
        """Build what the cluster consists of, and the images; skipped where it is built."""

    def up(self, hostname: str, /) -> None:
        """Nodes can pull from this registry, in both its domains, without a Secret too (docs/keyless.md)."""

    def down(self) -> None:
        """Leave nothing behind."""

    def load(self, archives: Sequence[Path]) -> None:
        """Images into every node (docker-archive)."""

    def publish(self, names: Mapping[str, str], ca: bytes) -> dict[str, str]:
        """Let host names (name → ClusterIP, port 443) be reached from the nodes and from this machine.

        The nodes' containerd trusts them by `ca` (PEM). Returns name → address on this machine.
        """

    def break_a_zone(self) -> Sequence[str]:
        """Commands that break a zone and mend it, for the person who tries this out."""


def docker_and_kind() -> bool:
    """Whether a Docker engine answers and kind is installed."""
    if not (shutil.which("docker") and shutil.which("kind")):
        return False
    try:
        run("docker", "info", timeout=20)
    except CommandFailed:
        return False
    return True
