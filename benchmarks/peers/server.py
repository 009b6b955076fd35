"""A registry that is measured: where it is, how to log in, and what its processes used."""

from __future__ import annotations

import os
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.peers.client import Connection

_TICKS = os.sysconf("SC_CLK_TCK")
_START_SECONDS = 30.0


@dataclass(frozen=True)
class Server:
    """One process or several replicas. `forget` drops its local caches of blobs.

    Without `pids` its CPU time and memory are unknown.
    """

    name: str
    urls: tuple[str, ...]  # http[s]://host:port, one of each replica
    authorization: str  # the header of a client that is logged in
    ca_file: Path | None = None
    pids: tuple[int, ...] = ()
    forget: Callable[[], None] = lambda: None

    @property
    def tls(self) -> bool:
        return self.urls[0].startswith("https:")

    def connect(self, number: int = 0) -> Connection:
        """The connection of the client with this number: clients take the replicas in turn."""
        parts = urlsplit(self.urls[number % len(self.urls)])
        assert parts.hostname
        trust = ssl.create_default_context(cafile=self.ca_file) if self.tls else None
        return Connection(
            (parts.hostname, parts.port or (443 if self.tls else 80)), trust, self.authorization
        )

    def cpu(self) -> float | None:
        """Seconds that its processes have worked, in user space and in the kernel."""
        return sum(map(_cpu, _tree(self.pids))) if self.pids else None

    def memory(self, field: str = "VmRSS") -> float:
        """MiB of its processes together; `VmHWM` is the most since `forget_peak`."""
        assert self.pids
        return sum(_status(pid, field) for pid in _tree(self.pids)) / 1024

    def forget_peak(self) -> None:
        assert self.pids
        for pid in _tree(self.pids):
            Path(f"/proc/{pid}/clear_refs").write_text("5")


@contextmanager
def running(argv: Sequence[str | Path], log: Path, **environment: str) -> Iterator[int]:
    """Runs a program for as long as the context lasts, and gives its process id."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            argv, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **environment}
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until_up(server: Server, *logs: Path) -> Server:
    """The server, when every replica answers. Raises RuntimeError with its log."""
    ends = time.monotonic() + _START_SECONDS
    for number, log in enumerate(logs):
        while not _answers(server, number):
            if time.monotonic() > ends:
                raise RuntimeError(f"{server.name} does not answer:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
    return server


def _answers(server: Server, number: int) -> bool:
    try:
        connection = server.connect(number)
        try:
            return connection.request("GET", "/v2/").status == 200
        finally:
            connection.close()
    except OSError:
        return False


def _tree(pids: Sequence[int]) -> list[int]:
    found = [*pids]
    for parent in found:
        for file in Path(f"/proc/{parent}/task").glob("*/children"):
            found += map(int, file.read_text().split())
    return found


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _status(pid: int, field: str) -> int:
    """kB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
