"""The three zones of kind, where a Docker engine is. A thin layer: kind does the work."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quickstart.command import run

CONFIG = Path("kind-config.yaml")


@dataclass(frozen=True)
class KindProvider:
    """`state` is a directory of ours: the kubeconfig, and the process ids of the port-forwards."""

    name: str
    state: Path
    loopback: str = "127.0.89."

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def kubectl(self) -> str:
        return "kubectl"

    def up(self) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        if self.name not in run("kind", "get", "clusters").split():
            config = ("--config", str(CONFIG), "--kubeconfig", str(self.kubeconfig), "--wait", "120s")
            run("kind", "create", "cluster", "--name", self.name, *config, timeout=900)

    def down(self) -> None:
        for pid in self.state.glob("forward-*.pid"):
            try:
                os.kill(int(pid.read_text()), signal.SIGTERM)
            except ProcessLookupError:
                continue  # it ended by itself
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
        run(*inside, "sed", "-i", f"/ {name}$/d", "/etc/hosts")
        run(*inside, "tee", "--append", "/etc/hosts", stdin=f"{cluster_ip} {name}\n")

    def _forward(self, number: int, cluster_ip: str) -> str:
        """A port-forward from a loopback address of this machine; `down` ends it by its process id."""
        address = f"{self.loopback}{number}"
        found = run(
            "kubectl", "--kubeconfig", str(self.kubeconfig), "get", "services", "--all-namespaces", "--output",
            'jsonpath={range .items[*]}{.spec.clusterIP} {.metadata.namespace} {.metadata.name}{"\\n"}{end}',
        )  # fmt: skip
        namespace, service = next(
            line.split()[1:] for line in found.splitlines() if line.startswith(f"{cluster_ip} ")
        )
        process = subprocess.Popen(
            ["kubectl", "--kubeconfig", str(self.kubeconfig), "port-forward", "--namespace", namespace,
             "--address", address, f"service/{service}", "443:443"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        (self.state / f"forward-{number}.pid").write_text(str(process.pid))
        return address

    def break_a_zone(self) -> Sequence[str]:
        return (f"docker pause {self.name}-worker", f"docker unpause {self.name}-worker")
