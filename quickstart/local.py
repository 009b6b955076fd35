"""The three zones of our own local cluster: no Docker needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local_cluster import build
from local_cluster.cluster import Cluster
from local_cluster.images import Images
from local_cluster.parts import Parts


@dataclass(frozen=True)
class LocalProvider:
    """Over `local_cluster`, which does the work. The host names get addresses `loopback`1, 2 …"""

    name: str
    cache: Path
    report: Callable[[str], None]
    loopback: str = "127.0.89."  # addresses of their own, so that each name has port 443

    @property
    def cluster(self) -> Cluster:
        return Cluster(self.name, Parts(self.cache), self.report)

    @property
    def kubeconfig(self) -> Path:
        return self.cluster.kubeconfig

    @property
    def kubectl(self) -> str:
        return str(Parts(self.cache).binary("kubectl"))

    def build(self) -> Images:
        return build.everything(self.cache, self.report)[1]

    def up(self, hostname: str, /) -> None:
        self.cluster.pull_keyless(hostname, [hostname, f"private.{hostname}"])
        self.cluster.up()

    def down(self) -> None:
        self.cluster.down()

    def load(self, archives: Sequence[Path]) -> None:
        self.cluster.load(archives)

    def publish(self, names: Mapping[str, str], ca: bytes) -> dict[str, str]:
        cluster = self.cluster
        cluster.write_host_entries(names)
        addresses = {}
        for number, (name, cluster_ip) in enumerate(sorted(names.items()), start=1):
            cluster.trust_registry(name, ca)
            addresses[name] = f"{self.loopback}{number}"
            cluster.forward(f"{addresses[name]}:443", f"{cluster_ip}:443")
        return addresses

    def break_a_zone(self) -> Sequence[str]:
        program = ".venv/bin/python -m local_cluster"
        return (
            f"{program} cut zone-a",
            f"{program} heal zone-a",
            f"{program} crash zone-b",
            f"{program} boot zone-b",
        )
