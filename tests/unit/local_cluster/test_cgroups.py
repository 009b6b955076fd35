"""What follows from the cgroups that a host has: hybrid as most old hosts, v2 as new ones, or v1 alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from local_cluster.cgroups import Cgroups, CgroupTree, Hierarchy, ancestry, delegations, inherit_cpuset, parse
from local_cluster.errors import HostUnfit

ROOT = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
TMPFS = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
V1 = (
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime shared:10 - cgroup cgroup rw,cpuset,clone_children\n"
    "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
)
NAMED = "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
UNIFIED = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
PURE = "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
ALL = frozenset({"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"})


def test_a_hybrid_host_tracks_in_the_v2_tree_and_keeps_its_controllers() -> None:
    """All hierarchies are known, with their controllers; processes are tracked where they die as one."""
    tree = parse(ROOT + TMPFS + V1 + NAMED + UNIFIED)

    assert tree.tracking == Hierarchy(Path("/sys/fs/cgroup/unified"), unified=True, controllers=frozenset())
    assert not tree.unified
    assert [sorted(each.controllers) for each in tree.hierarchies] == [
        ["cpu", "cpuacct"],
        ["cpuset"],
        ["pids"],
        [],
        [],
    ]


def test_a_v2_host_has_one_tree_for_all() -> None:
    """It tracks, and it carries the controllers."""
    tree = parse(ROOT + PURE)

    assert tree.unified
    assert tree.tracking.mount == Path("/sys/fs/cgroup")


@pytest.mark.parametrize(("mounts", "name"), [(V1 + NAMED, "systemd"), (V1, "pids")])
def test_a_v1_host_tracks_in_its_named_tree_or_else_by_pids(mounts: str, name: str) -> None:
    """A tree without controllers is the first choice: nothing else moves processes in it."""
    assert parse(ROOT + TMPFS + mounts).tracking.mount == Path("/sys/fs/cgroup") / name


def test_a_host_without_cgroups_is_refused_with_the_remedy() -> None:
    """Not with a traceback of what is missing later."""
    with pytest.raises(HostUnfit, match="mount -t cgroup2"):
        parse(ROOT)


def test_a_mount_point_with_a_space_is_read() -> None:
    """mountinfo writes it as an octal number."""
    line = r"35 24 0:30 / /sys/fs/my\040cgroup rw - cgroup2 cgroup2 rw"

    assert parse(line).tracking.mount == Path("/sys/fs/my cgroup")


def test_v2_controllers_are_delegated_from_the_root_down() -> None:
    """To every group above the kubelet's root and to that itself; what it needs, and what is useful."""
    writes = delegations(ancestry("/roadstead/one/zone-a"), ALL)

    wanted = "+cpuset +cpu +memory +pids +hugetlb +io"
    assert writes == [
        ("/cgroup.subtree_control", wanted),
        ("/roadstead/cgroup.subtree_control", wanted),
        ("/roadstead/one/cgroup.subtree_control", wanted),
        ("/roadstead/one/zone-a/cgroup.subtree_control", wanted),
    ]


def test_a_missing_v2_controller_is_named() -> None:
    """A kubelet would not start, and say so only in its log."""
    with pytest.raises(HostUnfit, match="cpuset, pids"):
        delegations([""], ALL - {"cpuset", "pids"})


def test_a_v2_tree_is_made_ready_for_a_kubelet(tmp_path: Path) -> None:
    """Each group's subtree_control is written, in a directory that stands in for the tree."""
    (tmp_path / "cgroup.controllers").write_text(" ".join(ALL))
    for group in ancestry("/a/b"):
        (tmp_path / group.lstrip("/")).mkdir(exist_ok=True)
    cgroups = Cgroups(CgroupTree((Hierarchy(tmp_path, unified=True, controllers=frozenset()),)))

    cgroups.delegate("/a/b")

    for group in ancestry("/a/b"):
        assert "+memory" in (tmp_path / group.lstrip("/") / "cgroup.subtree_control").read_text()


def test_a_v2_tree_that_refuses_is_reported_with_its_file(tmp_path: Path) -> None:
    """As in a container that has processes in the root of what it sees."""
    (tmp_path / "cgroup.controllers").write_text(" ".join(ALL))
    (tmp_path / "cgroup.subtree_control").mkdir()
    cgroups = Cgroups(CgroupTree((Hierarchy(tmp_path, unified=True, controllers=frozenset()),)))

    with pytest.raises(HostUnfit, match=r"cgroup\.subtree_control does not take"):
        cgroups.delegate("/a")


def test_a_v1_cpuset_gets_its_parents_cpus_all_the_way_down(tmp_path: Path) -> None:
    """Empty ones are filled; one that was narrowed on purpose stays."""
    for group in ancestry("/a/b"):
        (tmp_path / group.lstrip("/")).mkdir(exist_ok=True)
        for name, value in (("cpuset.cpus", ""), ("cpuset.mems", "")):
            (tmp_path / group.lstrip("/") / name).write_text(value)
    (tmp_path / "cpuset.cpus").write_text("0-3\n")
    (tmp_path / "cpuset.mems").write_text("0\n")
    (tmp_path / "a" / "cpuset.cpus").write_text("1\n")

    inherit_cpuset(tmp_path, "/a/b")

    assert (tmp_path / "a" / "b" / "cpuset.cpus").read_text() == "1\n"
    assert (tmp_path / "a" / "b" / "cpuset.mems").read_text() == "0\n"


def test_without_cgroup_kill_every_process_below_is_killed(tmp_path: Path) -> None:
    """As in v1 trees: the ids are in cgroup.procs, here of a directory that stands in for the tree."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        procs = tmp_path / "a" / "b" / "cgroup.procs"
        procs.write_text(f"{sleeper.pid}\n")
        cgroups = Cgroups(CgroupTree((Hierarchy(tmp_path, unified=False, controllers=frozenset()),)))

        assert cgroups.processes("/a") == [sleeper.pid]
        with pytest.MonkeyPatch.context() as patch:
            seen = [[sleeper.pid], [sleeper.pid], []]  # before the kill, to be killed, after it
            patch.setattr(Cgroups, "processes", lambda _self, _group: seen.pop(0) if seen else [])
            cgroups.kill("/a")

        assert sleeper.wait(5) == -9
