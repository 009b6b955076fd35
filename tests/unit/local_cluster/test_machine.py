"""What a machine does before it is one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from local_cluster.layout import Layout
from local_cluster.machine import is_init, setup_script

MACHINE = Layout("one", root=Path("/var/lib/it's here")).nodes[0]
LINES = setup_script(MACHINE, Path("/cache/pause")).splitlines()


def test_mounts_are_private_before_the_first_and_shared_after_the_last() -> None:
    """Nothing of a machine reaches the host's mounts; what a kubelet mounts reaches its containers."""
    mounts = [number for number, line in enumerate(LINES) if "mount" in line]

    assert LINES[mounts[0]] == "mount --make-rprivate /"
    assert LINES[mounts[-1]] == "mount --make-rshared /"


def test_directories_below_var_lib_are_bound_before_it_hides_them() -> None:
    """The machine's own directories lie there too."""
    order = [
        line.rsplit(" ", 1)[1] for line in LINES if line.startswith(("mount --bind '", "mount --rbind '"))
    ]

    assert order == ["/etc", "/var/log", "/var/lib"]


def test_cgroups_are_back_over_the_new_sys() -> None:
    """Put aside, covered, brought back, in this order."""
    steps = [
        "--rbind /sys/fs/cgroup /run/cgroup",
        "-t sysfs sysfs /sys",
        "--rbind /run/cgroup /sys/fs/cgroup",
    ]
    places = [LINES.index(f"mount {step}") for step in steps]

    assert places == sorted(places)


def test_every_sysctl_of_the_kubelet_is_a_file_of_the_machines_own() -> None:
    """So that what a kubelet would write for the whole host is there already."""
    for name in ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"):
        assert f"mount --bind /run/sysctl/{name.replace('/', '.')} /proc/sys/{name}" in LINES


def test_the_script_is_one_that_a_shell_reads() -> None:
    """With a path that needs quoting; it ends by becoming PID 1."""
    checked = subprocess.run(
        ["sh", "-n"], input="\n".join(LINES), text=True, capture_output=True, check=False
    )

    assert checked.stderr == ""
    assert LINES[0] == "set -eu"
    assert LINES[-1] == "exec /cache/pause"


def test_a_process_of_this_machine_is_no_init() -> None:
    """Neither this test's own, nor one that does not exist."""
    assert not is_init(os.getpid())
    assert not is_init(2**22 + 1)


def test_only_where_relays_dial_from_a_dead_connection_is_soon_forgotten() -> None:
    """A source port that is used again must not lead to an endpoint that is gone; nodes stay as nodes are."""
    control_plane = setup_script(Layout("one").control_plane, Path("/cache/pause"))

    assert "echo 5 > /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_syn_sent" in control_plane
    assert "nf_conntrack" not in "\n".join(LINES)
