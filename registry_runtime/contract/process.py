"""What every process tells of itself, by the names that Prometheus' own clients use.

https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics
"""

from __future__ import annotations

import gc
import os
import platform
import resource
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from registry_runtime.contract.exposition import Counter, Families, Gauge

_SELF = Path("/proc/self")
_STAT_AFTER_NAME = 3  # the number of the first field behind the name, in proc_pid_stat(5)
_STARTED, _VIRTUAL, _RESIDENT = 22, 23, 24


class Process(Families):
    """CPU, memory, files, garbage; absent where there is no /proc."""

    def __init__(self) -> None:
        self.cpu = Counter("process_cpu_seconds_total", "CPU time of the process, user and system.")
        self.cpu.reads_one(_cpu)
        self.resident = Gauge("process_resident_memory_bytes", "Memory that the process holds.")
        self.resident.reads_one(lambda: _stat(_RESIDENT, resource.getpagesize()))
        self.virtual = Gauge("process_virtual_memory_bytes", "Addresses that the process has.")
        self.virtual.reads_one(lambda: _stat(_VIRTUAL))
        self.started = Gauge("process_start_time_seconds", "When the process started, in seconds of Unix.")
        self.started.reads_one(_started)
        self.files = Gauge("process_open_fds", "Open files and sockets.")
        self.files.reads_one(_open_files)
        self.most_files = Gauge("process_max_fds", "How many there may be.")
        self.most_files.reads_one(lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self.collections = Counter(
            "python_gc_collections_total", "Looks for garbage, by generation.", ("generation",)
        )
        self.collections.reads(
            lambda: {(str(number),): one["collections"] for number, one in enumerate(gc.get_stats())}
        )
        self.python = Gauge("python_info", "1, for the Python that runs.", ("implementation", "version"))
        self.python.set(1, platform.python_implementation(), platform.python_version())
        self.build = Gauge("roadstead_build_info", "1, for the version of Roadstead that runs.", ("version",))
        self.build.set(1, _version())


def _cpu() -> float:
    used = os.times()
    return used.user + used.system


def _stat(field: int, unit: int = 1) -> float | None:
    """https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""
    with suppress(OSError):
        fields = (_SELF / "stat").read_text().rpartition(")")[2].split()
        return float(fields[field - _STAT_AFTER_NAME]) * unit
    return None


def _started() -> float | None:
    """By the clock of now: the kernel counts ticks since the boot."""
    ticks = _stat(_STARTED)
    if ticks is None:
        return None
    since_boot = ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot


def _open_files() -> float | None:
    with suppress(OSError):
        return len(os.listdir(_SELF / "fd"))  # noqa: PTH208 - only their number
    return None


def _version() -> str:
    try:
        return version("roadstead")
    except PackageNotFoundError:
        return "unknown"
