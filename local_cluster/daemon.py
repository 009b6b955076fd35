"""Starting, finding and ending long-lived programs, each in a leaf cgroup of its own.

The leaf is the only record of what runs. A starter that is killed at any moment leaves either nothing or a
process in the leaf: the shell joins it before it becomes the program, and ends where the leaf is gone.
"""

import os
import subprocess
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from local_cluster.cgroups import Cgroups
from local_cluster.errors import DaemonEnded

JOIN = 'echo $$ > "$0" && exec "$@"'
LAST_LINES = 15


@dataclass(frozen=True)
class Daemon:
    """A program to run: `argv` as seen where it runs, `env` the whole of its environment."""

    name: str
    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Daemons:
    """The daemons of one machine, or of the host: below `cgroup`, with their logs in `log`."""

    cgroups: Cgroups
    cgroup: str
    log: Path

    def leaf(self, name: str) -> str:
        return f"{self.cgroup}/{name}"

    def log_of(self, name: str) -> Path:
        return self.log / f"{name}.log"

    def names(self) -> list[str]:
        """Those that run."""
        directory = self.cgroups.directory(self.cgroup)
        leaves = (
            sorted(path.name for path in directory.iterdir() if path.is_dir()) if directory.exists() else []
        )
        return [name for name in leaves if self.running(name)]

    def running(self, name: str) -> bool:
        return bool(self.cgroups.processes(self.leaf(name)))

    def start(self, daemon: Daemon, entry: tuple[str, ...] = (), pass_fds: tuple[int, ...] = ()) -> None:
        """Starts it if it does not run. `entry` are the words that lead into its machine's namespaces."""
        if self.running(daemon.name):
            return
        directory = self.cgroups.directory(self.leaf(daemon.name))
        directory.mkdir(parents=True, exist_ok=True)
        self.log.mkdir(parents=True, exist_ok=True)
        with self.log_of(daemon.name).open("ab") as log:
            process = subprocess.Popen(
                ["sh", "-c", JOIN, str(directory / "cgroup.procs"), *entry, *daemon.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=daemon.env,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        while not self.running(daemon.name) and process.poll() is None:
            os.sched_yield()
        process.returncode = process.returncode or 0  # it outlives us on purpose: no ResourceWarning for that

    def started(self, name: str) -> float:
        """When its first process was started, in seconds of Unix time. Raises DaemonEnded."""
        self.check(name)
        ticks = int(
            Path(f"/proc/{self.cgroups.processes(self.leaf(name))[0]}/stat")
            .read_text()
            .rpartition(")")[2]
            .split()[19]
        )
        booted = next(
            line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime")
        )
        return int(booted.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")

    def stop(self, name: str) -> None:
        self.cgroups.remove(self.leaf(name))

    def check(self, name: str) -> None:
        """Raises DaemonEnded, with its last words, unless it runs."""
        if not self.running(name):
            raise DaemonEnded(name, self.log_of(name), self.last_words(name))

    def last_words(self, name: str) -> list[str]:
        log = self.log_of(name)
        if not log.exists():
            return []
        with log.open(errors="replace") as lines:
            return [line.rstrip("\n")[:300] for line in deque(lines, maxlen=LAST_LINES)]
