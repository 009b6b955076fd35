"""A containerd of the tests' own, and `ctr` to tell it what to do."""

from __future__ import annotations

import os
import pty
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.clients.workstation import NOWHERE, SECONDS, program_file

START_SECONDS = 20.0
# CRI wants a network, and opt a directory of the machine's. What unpacks needs no help of the kernel's.
CONFIG = """\
version = 3
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images",
  "io.containerd.cri.v1.runtime", "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[grpc]
address = "{folder}/containerd.sock"
[ttrpc]
address = "{folder}/containerd.sock.ttrpc"
[plugins."io.containerd.transfer.v1.local"]
unpack_config = [
  {{platform = "linux/amd64", snapshotter = "native", differ = "walking"}},
  {{platform = "linux/arm64", snapshotter = "native", differ = "walking"}},
]
"""
HOSTS = """\
server = "https://{host}"
ca = "{authority}"
"""


@dataclass(frozen=True)
class Containerd:
    """`folder` holds all that it has."""

    folder: Path

    def trust(self, host: str, authority: Path) -> None:
        """Writes the hosts.toml of a registry (https://github.com/containerd/containerd/blob/main/docs/hosts.md)."""
        folder = self.folder / "certs.d" / host
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts.toml").write_text(HOSTS.format(host=host, authority=authority))

    def pull(self, reference: str, password: str, *options: str) -> str:
        return self._transfer("pull", reference, password, *options)

    def push(self, reference: str, password: str, *options: str) -> str:
        return self._transfer("push", reference, password, *options)

    def __call__(self, *words: str) -> str:
        """What `ctr` printed; it ended well."""
        ended = subprocess.run(
            self._argv(*words), capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert ended.returncode == 0, f"ctr {words}: {ended.stdout}{ended.stderr}"
        return ended.stdout.strip()

    def _transfer(self, verb: str, reference: str, password: str, *options: str) -> str:
        """`ctr` asks for the password at a terminal. Raises Refused."""
        words = ("images", verb, f"--hosts-dir={self.folder / 'certs.d'}", "--user=iamapikey", *options)
        ours, theirs = pty.openpty()
        try:
            with subprocess.Popen(
                self._argv(*words, reference),
                stdin=theirs,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as ctr:
                os.write(ours, f"{password}\n".encode())
                said, _ = ctr.communicate(timeout=SECONDS)
        finally:
            os.close(ours)
            os.close(theirs)
        if ctr.returncode != 0:
            raise Refused(said)
        return said

    def _argv(self, *words: str) -> list[str | Path]:
        return [program_file("ctr"), f"--address={self.folder / 'containerd.sock'}", *words]


class Refused(Exception):
    """What `ctr` said when it failed."""


@contextmanager
def containerd() -> Iterator[Containerd]:
    """Starts one (as root: it unpacks images), and stops it in the end."""
    # The path of a socket has at most 107 bytes: pytest's directories are too deep for it.
    with tempfile.TemporaryDirectory(prefix="containerd-") as folder:
        running = Containerd(Path(folder))
        (running.folder / "config.toml").write_text(CONFIG.format(folder=folder))
        environment = {"PATH": os.environ["PATH"], "HTTPS_PROXY": NOWHERE, "TMPDIR": folder}
        with (running.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [program_file("containerd"), f"--config={running.folder / 'config.toml'}"],
                stdout=log,
                stderr=log,
                env=environment,
            )
        try:
            _wait(running, process)
            yield running
        finally:
            process.terminate()
            process.wait(10)


def _wait(running: Containerd, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + START_SECONDS
    while subprocess.run(running._argv("version"), capture_output=True, check=False).returncode != 0:
        assert process.poll() is None, (running.folder / "log").read_text()
        assert time.monotonic() < ends, (running.folder / "log").read_text()
        time.sleep(0.05)
