"""The three zones of our own local cluster: no Docker needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local_cluster.cluster import Cluster


@dataclass(frozen=True)
class LocalProvider:
    """Over `local_cluster`, which does the work."""

    cluster: Cluster
    program: Path  # kubectl
    loopback: str = "127.0.89."  # the host names get addresses of their own, so that each has port 443

    @property
    def kubeconfig(self) -> Path:
        return self.cluster.kubeconfig

    @property
    def kubectl(self) -> str:
        return str(self.program)

    def up(self) -> None:
        self.cluster.up()

    def down(self) -> None:
        self.cluster.down()

    def load(self, archives: Sequence[Path]) -> None:
        self.cluster.load(archives)

    def publish(self, names: Mapping[str, str], ca: bytes) -> dict[str, str]:
        self.cluster.write_host_entries(names)
        addresses = {}
        for number, (name, cluster_ip) in enumerate(sorted(names.items()), start=1):
            self.cluster.trust_registry(name, ca.decode())
            addresses[name] = f"{self.loopback}{number}"
            self.cluster.forward(f"{addresses[name]}:443", f"{cluster_ip}:443")
        return addresses

    def break_a_zone(self) -> Sequence[str]:
        program = ".venv/bin/python -m local_cluster"
        return (
            f"{program} cut zone-a",
            f"{program} heal zone-a",
            f"{program} crash zone-b",
            f"{program} boot zone-b",
        )
