"""A machine of the cluster: namespaces around the host's programs, and its own /etc, /var and /run.

One process, `pause`, is its PID 1: when that ends, the kernel ends everything in the machine, its processes,
mounts and links. Daemons keep their default paths, which the kubelet needs (some are fixed in its code).
Nothing of the host is written: what a machine may write is a directory of its own, or memory.
"""

import shlex
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from local_cluster.cgroups import Cgroups
from local_cluster.daemon import Daemon, Daemons
from local_cluster.errors import CommandFailed, NotRunning
from local_cluster.layout import Machine, Node
from local_cluster.waiting import until

INIT = "init"
# Of Go programs: three zones on a few cores have more memory than time.
SELDOM_COLLECTED = {"GOGC": "400"}
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAMESPACES = ("--mount", "--net", "--pid", "--uts", "--ipc")
# What the kubelet sets for the whole host when it differs (pkg/kubelet/cm/container_manager_linux.go): each
# machine sees a file of its own there that has the wanted value already.
KUBELET_SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
NETWORK_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
}
# Seconds that an unanswered connection is remembered where relays dial from. All of them have one source
# address, so a port is soon used again: it must not lead to the endpoint that the last one with it died of.
RELAY_SYSCTLS = {
    "net/netfilter/nf_conntrack_tcp_timeout_syn_sent": "5",
    "net/netfilter/nf_conntrack_tcp_timeout_max_retrans": "5",
    "net/netfilter/nf_conntrack_tcp_timeout_unacknowledged": "5",
}
FROM_HOST_ETC = ("alternatives", "ssl")
BOOT_SECONDS = 10.0


def setup_script(machine: Machine, pause: Path) -> str:
    """What PID 1 does before it becomes `pause`, in this order, ending at the first line that fails."""
    network = NETWORK_SYSCTLS if isinstance(machine, Node) else {**NETWORK_SYSCTLS, **RELAY_SYSCTLS}
    lines = [
        "set -eu",
        "mount --make-rprivate /",
        "mount -t proc proc /proc",
        "mount -t tmpfs -o mode=755 tmpfs /run",
        "mkdir /run/lock /run/sysctl /run/cgroup",
        # sysfs shows the links of the namespace that it is mounted in, and hides the cgroup tree.
        "mount --rbind /sys/fs/cgroup /run/cgroup",
        "mount -t sysfs sysfs /sys",
        "mount --rbind /run/cgroup /sys/fs/cgroup",
        "umount --lazy /run/cgroup",
        *(
            f"if [ -d /etc/{name} ]; then mount --bind /etc/{name} {quoted(machine.etc / name)}; fi"
            for name in FROM_HOST_ETC
        ),
        f"mount --rbind {quoted(machine.etc)} /etc",
        f"mount --bind {quoted(machine.log)} /var/log",
        # Last, because it hides the directory that the others came from.
        f"mount --bind {quoted(machine.lib)} /var/lib",
        *(line for name, value in KUBELET_SYSCTLS.items() for line in shield(name, value)),
        *(
            f"if [ -e /proc/sys/{name} ]; then echo {value} > /proc/sys/{name}; fi"
            for name, value in network.items()
        ),
        "ip link set lo up",
        f"hostname {machine.name}",
        "mount --make-rshared /",
        f"exec {quoted(pause)}",
    ]
    return "\n".join(lines)


def quoted(path: Path) -> str:
    return shlex.quote(str(path))


def shield(name: str, value: str) -> Iterable[str]:
    file = f"/run/sysctl/{name.replace('/', '.')}"
    yield f"echo {value} > {file}"
    yield f"mount --bind {file} /proc/sys/{name}"


@dataclass(frozen=True)
class RunningMachine:
    """The door to one machine's namespaces, whether they exist at the moment or not."""

    machine: Machine
    cgroups: Cgroups

    @property
    def daemons(self) -> Daemons:
        return Daemons(self.cgroups, self.machine.cgroup, self.machine.log)

    def pid(self) -> int | None:
        """The host's id of the machine's PID 1 once its mounts are made; None while there is none."""
        for process in self.cgroups.processes(f"{self.machine.cgroup}/{INIT}"):
            if is_init(process):
                return process
        return None

    def require(self) -> int:
        """Raises NotRunning."""
        pid = self.pid()
        if pid is None:
            raise NotRunning(f"{self.machine.name} is not running: boot it, or run `up`")
        return pid

    def boot(self, pause: Path) -> None:
        """Makes the namespaces unless they are there. Raises DaemonEnded with what the set-up said."""
        for directory in (
            self.machine.lib,
            self.machine.log,
            *(self.machine.etc / name for name in FROM_HOST_ETC),
        ):
            directory.mkdir(parents=True, exist_ok=True)
        argv = ("unshare", *NAMESPACES, "--fork", "--kill-child=KILL", "--propagation", "unchanged")
        script = setup_script(self.machine, pause)
        self.daemons.start(Daemon(INIT, (*argv, "sh", "-c", script), {"PATH": SYSTEM_PATH}))

        def up() -> bool:
            self.daemons.check(INIT)
            return self.pid() is not None

        until(up, BOOT_SECONDS, lambda: f"{self.machine.name} does not boot")

    def start(self, daemon: Daemon) -> None:
        """Starts the daemon inside, unless it runs. Raises NotRunning."""
        self.daemons.start(daemon, entry=self.entry())

    def entry(self) -> tuple[str, ...]:
        return ("nsenter", "--target", str(self.require()), *NAMESPACES, "--")

    def run(
        self,
        argv: list[str],
        *,
        stdin: IO[bytes] | bytes | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs a program inside to its end. Raises NotRunning, and CommandFailed if `check`."""
        source: dict[str, Any] = (
            {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin or subprocess.DEVNULL}
        )
        done = subprocess.run(
            [*self.entry(), *argv],
            **source,
            capture_output=True,
            cwd="/",
            env=env or {"PATH": SYSTEM_PATH},
            check=False,
        )
        if check and done.returncode != 0:
            said = (done.stdout + done.stderr).decode(errors="replace").splitlines()
            raise CommandFailed(argv, done.returncode, said[-20:])
        return done

    def crash(self) -> None:
        """Ends everything of the machine at once; its cgroups too: left over, they slow the next boot."""
        self.cgroups.remove(self.machine.cgroup)


def is_init(process: int) -> bool:
    """Whether the process is PID 1 of an inner namespace, and has become `pause`."""
    try:
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{process}/status").read_text().splitlines()
            if ":\t" in line
        )
    except OSError:
        return False
    inner = status["NSpid"].split()
    return len(inner) > 1 and inner[-1] == "1" and status["Name"] == "pause"
