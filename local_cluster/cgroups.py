"""Control groups: which hierarchies this host has, what each needs before a kubelet, and who is in them.

A hybrid host mounts the v1 controllers one by one and a v2 tree without controllers beside them; a v2 host
has one tree for all. In both, one tree *tracks* processes: each daemon is a leaf of it, so that what a daemon
or a machine consists of is never guessed from process ids in files, and dies as a whole, also when whoever
started it was killed half way. https://docs.kernel.org/admin-guide/cgroup-v2.html, …/cgroup-v1/cgroups.html
"""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from local_cluster.errors import HostUnfit
from local_cluster.waiting import until

CONTROLLERS = ("cpuset", "cpu", "memory", "pids")
# The kubelet writes into files of these. Of hugetlb it wants what the host has (cgroup_v2_manager_linux.go).
OPTIONAL = ("hugetlb", "io")
CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")
NOTHING_LEFT_SECONDS = 10.0


@dataclass(frozen=True)
class Hierarchy:
    """A mounted tree, of v2 if `unified`. `controllers` is empty for v2 and for v1's named trees."""

    mount: Path
    unified: bool
    controllers: frozenset[str]


@dataclass(frozen=True)
class CgroupTree:
    """All hierarchies of the host, and the one that tracks processes."""

    hierarchies: tuple[Hierarchy, ...]

    @property
    def tracking(self) -> Hierarchy:
        """The v2 tree where there is one: it can kill a group at once. Else the named tree, else pids."""
        return min(self.hierarchies, key=preference)

    @property
    def unified(self) -> bool:
        """Whether the host is a pure v2 one: the controllers are in the v2 tree."""
        return all(hierarchy.unified for hierarchy in self.hierarchies)


def preference(hierarchy: Hierarchy) -> tuple[bool, int, bool]:
    return (not hierarchy.unified, len(hierarchy.controllers), "pids" not in hierarchy.controllers)


def parse(mountinfo: str) -> CgroupTree:
    """The hierarchies in /proc/self/mountinfo (proc_pid_mountinfo(5)). Raises HostUnfit without any."""
    found: dict[Path, Hierarchy] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        mount = Path(left.split()[4].encode().decode("unicode_escape"))
        kind, _source, options = right.split(" ", 2)
        if kind == "cgroup2":
            found[mount] = Hierarchy(mount, unified=True, controllers=frozenset())
        elif kind == "cgroup":
            words = frozenset(options.split(",")) - {"rw", "ro", "xattr", "clone_children"}
            names = frozenset(word for word in words if "=" not in word)
            found[mount] = Hierarchy(mount, unified=False, controllers=names)
    if not found:
        raise HostUnfit("no cgroup hierarchy is mounted: `mount -t cgroup2 none /sys/fs/cgroup` mounts one")
    return CgroupTree(tuple(found.values()))


def delegations(parents: list[str], available: frozenset[str]) -> list[tuple[str, str]]:
    """What to write into which cgroup.subtree_control of a v2 tree, from the root down to a kubelet's root.

    `parents` are the cgroups above and including it, "" being the root; `available` is what the root's
    cgroup.controllers lists. Raises HostUnfit when something that the kubelet insists on is missing.
    """
    missing = [name for name in CONTROLLERS if name not in available]
    if missing:
        raise HostUnfit(
            f"the cgroup controllers {', '.join(missing)} are not available here: "
            "boot without cgroup_disable=, or have them delegated to this container"
        )
    wanted = " ".join(f"+{name}" for name in (*CONTROLLERS, *OPTIONAL) if name in available)
    return [(f"{parent}/cgroup.subtree_control", wanted) for parent in parents]


def ancestry(group: str) -> list[str]:
    """The root "" and every group down to `group`: /a/b gives "", /a, /a/b."""
    words = group.strip("/").split("/")
    return ["", *("/" + "/".join(words[: end + 1]) for end in range(len(words)))]


@dataclass(frozen=True)
class Cgroups:
    """The door to the cgroup file systems. Groups are paths below each hierarchy's root: /name/node."""

    tree: CgroupTree

    @classmethod
    def of_host(cls) -> "Cgroups":
        return cls(parse(Path("/proc/self/mountinfo").read_text()))

    def directory(self, group: str) -> Path:
        """Of a group in the tracking hierarchy."""
        return self.tree.tracking.mount / group.lstrip("/")

    def delegate(self, group: str) -> None:
        """Makes `group` in every hierarchy, ready to be a kubelet's cgroupRoot."""
        for hierarchy in self.tree.hierarchies:
            path = hierarchy.mount / group.lstrip("/")
            path.mkdir(parents=True, exist_ok=True)
            if "cpuset" in hierarchy.controllers:
                inherit_cpuset(hierarchy.mount, group)
        if self.tree.unified:
            root = self.tree.tracking.mount
            available = frozenset((root / "cgroup.controllers").read_text().split())
            for file, wanted in delegations(ancestry(group), available):
                write_control(root / file.lstrip("/"), wanted)

    def processes(self, group: str) -> list[int]:
        """Ids of all processes in the group and below it."""
        found: list[int] = []
        for directory in subtree(self.directory(group)):
            with contextlib.suppress(OSError):
                found += map(int, (directory / "cgroup.procs").read_text().split())
        return sorted(found)

    def kill(self, group: str) -> None:
        """Ends every process in the group and below it, and waits until none is left. Raises TookTooLong."""

        def ended() -> bool:
            kill_at_once(self.directory(group), self.processes(group))
            return not self.processes(group)

        until(ended, NOTHING_LEFT_SECONDS, lambda: f"processes in cgroup {group} do not end")

    def remove(self, group: str) -> None:
        """Kills the group, then removes it and all below it from every hierarchy. Raises TookTooLong."""

        def removed() -> bool:
            self.kill(group)  # each time: who was being started a moment ago joins now
            trees = (each.mount / group.lstrip("/") for each in self.tree.hierarchies)
            left = [path for tree in trees for path in subtree(tree)]
            for path in left:
                with contextlib.suppress(OSError):
                    path.rmdir()
            return not any(path.exists() for path in left)

        until(removed, NOTHING_LEFT_SECONDS, lambda: f"cgroup {group} cannot be removed")

    def remove_empty(self, group: str) -> None:
        """Removes the group itself where nothing is below it any more."""
        for hierarchy in self.tree.hierarchies:
            with contextlib.suppress(OSError):
                (hierarchy.mount / group.lstrip("/")).rmdir()


def subtree(directory: Path) -> list[Path]:
    """The directory and all below it, the deepest first; empty if it is not there."""
    return [Path(path) for path, _directories, _files in os.walk(directory, topdown=False)]


def inherit_cpuset(mount: Path, group: str) -> None:
    """A v1 cpuset begins empty: nothing can join it before both files are set (cgroup-v1/cpusets.html)."""
    *parents, _itself = ancestry(group)
    for parent, child in zip(parents, ancestry(group)[1:], strict=True):
        for name in CPUSET_FILES:
            file = mount / child.lstrip("/") / name
            if not file.read_text().strip():
                file.write_text((mount / parent.lstrip("/") / name).read_text())


def write_control(file: Path, wanted: str) -> None:
    try:
        file.write_text(wanted)
    except OSError as error:
        raise HostUnfit(
            f"{file} does not take {wanted!r} ({error.strerror}): "
            "that cgroup itself has processes in it, or is not delegated to this container"
        ) from error


def kill_at_once(directory: Path, processes: list[int]) -> None:
    """By the kernel as one act (cgroup.kill, Linux 5.14), or one by one where it cannot."""
    kill_file = directory / "cgroup.kill"
    if kill_file.exists():
        with contextlib.suppress(FileNotFoundError):
            kill_file.write_text("1")
        return
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
