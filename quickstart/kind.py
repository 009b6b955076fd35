"""The three zones of kind, where a Docker engine is. A thin layer: kind does the work."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local_cluster import build, parts
from local_cluster.images import PROGRAM_IMAGES, Images
from quickstart.command import run

CONFIG = Path("kind-config.yaml")
IN_IMAGES = tuple(part for part in parts.ALL if part.name in PROGRAM_IMAGES)


@dataclass(frozen=True)
class KindProvider:
    """`state` is a directory of ours: the kubeconfig, and the process ids of the port-forwards."""

    name: str
    cache: Path
    state: Path
    report: Callable[[str], None]
    loopback: str = "127.0.89."

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def kubectl(self) -> str:
        return "kubectl"

    def build(self) -> Images:
        return build.everything(self.cache, self.report, docker=True, programs=IN_IMAGES)[1]

    def up(self, _hostname: str, /) -> None:
        """Without keyless pulls: docs/keyless.md has what kind-config.yaml needs for them."""
        self.state.mkdir(parents=True, exist_ok=True)
        if self.name not in run("kind", "get", "clusters").split():
            config = ("--config", str(CONFIG), "--kubeconfig", str(self.kubeconfig), "--wait", "120s")
            run("kind", "create", "cluster", "--name", self.name, *config, timeout=900)

    def down(self) -> None:
        for record in self.state.glob("forward-*.pid"):
            end(record)
        run("kind", "delete", "cluster", "--name", self.name, "--kubeconfig", str(self.kubeconfig))
        for left in self.state.glob("*"):
            left.unlink()

    def load(self, archives: Sequence[Path]) -> None:
        for archive in archives:
            run("kind", "load", "image-archive", "--name", self.name, str(archive))

    def publish(self, names: Mapping[str, str], ca: bytes) -> dict[str, str]:
        for node in run("kind", "get", "nodes", "--name", self.name).split():
            for name, cluster_ip in names.items():
                self._tell(node, name, cluster_ip, ca)
        return {
            name: self._forward(number, ip)
            for number, (name, ip) in enumerate(sorted(names.items()), start=1)
        }

    def _tell(self, node: str, name: str, cluster_ip: str, ca: bytes) -> None:
        """The name's address and its CA, on one node; containerd reads certs.d at each pull."""
        folder = f"/etc/containerd/certs.d/{name}"
        hosts = f'server = "https://{name}"\n[host."https://{name}"]\n  ca = "{folder}/ca.crt"\n'
        inside = ("docker", "exec", "--interactive", node)
        run(*inside, "mkdir", "-p", folder)
        run(*inside, "tee", f"{folder}/ca.crt", stdin=ca)
        run(*inside, "tee", f"{folder}/hosts.toml", stdin=hosts)
        hosts = run(*inside, "cat", "/etc/hosts")  # a mount of Docker's: it can be written, not replaced
        others = [line for line in hosts.splitlines() if line.split()[1:] != [name]]
        run(*inside, "tee", "/etc/hosts", stdin="\n".join([*others, f"{cluster_ip} {name}", ""]))

    def _forward(self, number: int, cluster_ip: str) -> str:
        """A port-forward from a loopback address of this machine; `down` ends it by its process id."""
        address = f"{self.loopback}{number}"
        program = ("kubectl", "--kubeconfig", str(self.kubeconfig))
        columns = "custom-columns=IP:.spec.clusterIP,NAMESPACE:.metadata.namespace,NAME:.metadata.name"
        listing = run(*program, "get", "services", "--all-namespaces", "--no-headers", "--output", columns)
        rows = (line.split() for line in listing.splitlines())
        namespace, service = next((row[1], row[2]) for row in rows if row[0] == cluster_ip)
        words = ("port-forward", "--namespace", namespace, "--address", address)
        record = self.state / f"forward-{number}.pid"
        end(record)
        process = subprocess.Popen(
            [*program, *words, f"service/{service}", "443:443"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        record.write_text(str(process.pid))
        return address

    def break_a_zone(self) -> Sequence[str]:
        return (f"docker pause {self.name}-worker", f"docker unpause {self.name}-worker")


def end(record: Path) -> None:
    """Ends the port-forward whose process id stands in the file, if that process is still one."""
    if not record.exists():
        return
    number = int(record.read_text())
    command = Path(f"/proc/{number}/cmdline")
    if command.exists() and b"port-forward" in command.read_bytes():
        os.kill(number, signal.SIGTERM)
    record.unlink()
