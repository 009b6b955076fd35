"""The Debian packages that the project needs beside Go and Python, and their installation."""

import os
import shutil
from collections.abc import Callable

from local_cluster.errors import PackagesMissing
from local_cluster.process import run

PACKAGES = {
    "gcc": "builds runc and pause",
    "libc6-dev": "builds runc and pause, statically",
    "libseccomp-dev": "runc without seccomp starts no pod",
    "pkg-config": "finds libseccomp",
    "mmdebstrap": "makes the base image",
    "debian-archive-keyring": "proves what mmdebstrap downloads",
    "buildah": "builds the images",
    "skopeo": "pushes images, and looks into them",
    "ca-certificates": "trust in package registries",
    "nftables": "kube-proxy, and the enforcer of network policies",
    "iproute2": "links between the machines of the cluster",
    "hostname": "names the machines",
    "util-linux": "unshare and nsenter, which make the machines",
    "mount": "file systems inside the machines",
}


def ensure(report: Callable[[str], None]) -> None:
    """Installs what is missing. Raises PackagesMissing where it cannot, CommandFailed where it fails."""
    if shutil.which("dpkg-query") is None:
        report(f"packages: no Debian here; the counterparts of these are needed: {', '.join(PACKAGES)}")
        return
    absent = missing(installed())
    if not absent:
        report("packages: all there")
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PackagesMissing(refusal(absent))
    report(f"packages: installing {', '.join(absent)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update"], env=quiet)
    run(["apt-get", "install", "--yes", "--no-install-recommends", *absent], env=quiet)


def installed() -> str:
    """A line for each package that dpkg knows: its name and its state."""
    return run(["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\\n"], keep=None)


def missing(listing: str) -> list[str]:
    """The packages of PACKAGES that `listing` (lines of `installed`) does not say are installed."""
    there = {line.split()[0] for line in listing.splitlines() if line.endswith(" installed")}
    return [package for package in PACKAGES if package not in there]


def refusal(absent: list[str]) -> str:
    reasons = "\n".join(f"    {package}: {PACKAGES[package]}" for package in absent)
    return (
        f"These Debian packages are missing, and installing them needs root:\n{reasons}\n"
        f"Run: sudo apt-get install --no-install-recommends {' '.join(absent)}"
    )
