"""`make bench-failover`: how long nobody works after a kill, and after a clean stop, of the leading operator.

Two operators as processes beside a real API server, with a fleet of Registries and AccessTokens that the next
one has to read first. A fail-over is over when a Registry that was made right after the signal has its
Deployment.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.table import Row, median, table
from tests.operator.apiserver import ApiServer, apiserver
from tests.operator.operator_process import Cluster, Operator, install, wait

_PATIENCE = 180.0  # seconds
_REGISTRIES = 10
_SPREAD = 7.3  # seconds, less than a Lease: rounds meet each moment between two renewals


def main() -> int:
    words = _parser().parse_args()
    with tempfile.TemporaryDirectory() as name, apiserver(Path(name)) as server, ExitStack() as stack:
        install(server)
        rows = _measure(Pair(server, Path(name), stack), Cluster(server), words.rounds, words.tokens)
    print(f"\n{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(table(rows))
    return 0 if all(row.met for row in rows) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.failover", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each")
    parser.add_argument("--tokens", type=int, default=0, help="AccessTokens in the fleet")
    return parser


class Pair:
    """The operator that leads, and the one that waits."""

    def __init__(self, server: ApiServer, folder: Path, stack: ExitStack) -> None:
        self._server = server
        self._folder = folder
        self._stack = stack
        self._count = 0
        self.leader = self._start()
        wait(lambda: '"message": "started"' in self.leader.log.read_text(), _PATIENCE)
        self.waiting = self._start()
        self._until_it_waits()

    def change(self, number: signal.Signals) -> float:
        """The leader gets this signal, and another operator waits from then on. Seconds of time.monotonic."""
        assert self.leader.process
        at = time.monotonic()
        self.leader.process.send_signal(number)
        self.leader.process.wait(60)
        self.leader, self.waiting = self.waiting, self._start()
        return at

    def until_one_leads(self) -> None:
        """A Lease that was given back is free for the one that has just begun, too."""
        wait(lambda: any(map(_leads, (self.leader, self.waiting))), _PATIENCE)
        if not _leads(self.leader):
            self.leader, self.waiting = self.waiting, self.leader

    def settle(self) -> None:
        wait(lambda: '"message": "started"' in self.leader.log.read_text(), _PATIENCE)
        self._until_it_waits()

    def resident(self) -> float:
        """MiB of the operator that waits."""
        assert self.waiting.process
        status = Path(f"/proc/{self.waiting.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1024

    def _until_it_waits(self) -> None:
        wait(lambda: "another operator leads" in self.waiting.log.read_text(), _PATIENCE)

    def _start(self) -> Operator:
        name = f"operator-{self._count}"
        self._count += 1
        own = self._folder / name
        own.mkdir()
        certificate = self._folder / "certs" / "apiserver.crt"
        operator = Operator(self._server, certificate, own, name=name, more={"PYTHONOPTIMIZE": "2"})
        operator.start()
        assert operator.process
        self._stack.callback(_end, operator.process)
        return operator


def _leads(operator: Operator) -> bool:
    return '"message": "leading"' in operator.log.read_text()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(10)


def _measure(pair: Pair, cluster: Cluster, rounds: int, tokens: int) -> list[Row]:
    cluster.namespace("fleet")
    for number in range(_REGISTRIES):
        cluster.registry("fleet", f"registry-{number}")
    for number in range(tokens):
        cluster.token("fleet", f"robot-{number}", f"registry-{number % _REGISTRIES}")
    wait(lambda: len(cluster.list("Deployment", "fleet")) == _REGISTRIES, _PATIENCE)
    took: dict[signal.Signals, list[tuple[float, float]]] = {signal.SIGKILL: [], signal.SIGTERM: []}
    resident = []
    for number in range(rounds):
        for how, rounds_of in took.items():
            time.sleep(1 + number * _SPREAD % 2)
            resident.append(pair.resident())
            leads, works = _round(pair, cluster, f"{how.name.lower()}-{number}", how)
            rounds_of.append((leads, works))
            print(f"{how.name} {number}: {leads:.1f} s, {works:.1f} s", file=sys.stderr, flush=True)
    fleet = f", {_REGISTRIES} Registries and {tokens:,} tokens"
    rows = []
    for how, what, lease in ((signal.SIGKILL, "a kill", 20), (signal.SIGTERM, "a clean stop", 3)):
        leads_of, works_of = zip(*took[how], strict=True)
        rows.append(median(f"from {what} until the next one leads", "s", leads_of, lease))
        rows.append(median(f"from {what} until it works{fleet}", "s", works_of, lease + 5))
    return [*rows, median("operator that waits, resident", "MiB", resident, 60)]


def _round(pair: Pair, cluster: Cluster, name: str, how: signal.Signals) -> tuple[float, float]:
    """Seconds until the next one has the Lease, and until what was wanted meanwhile is there."""
    began = pair.change(how)
    cluster.registry("fleet", name)
    pair.until_one_leads()
    leads = time.monotonic() - began
    wait(lambda: cluster.get("Deployment", "fleet", name) is not None, _PATIENCE)
    works = time.monotonic() - began
    pair.settle()
    return leads, works


if __name__ == "__main__":
    sys.exit(main())
