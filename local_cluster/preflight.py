"""What a host must have before a cluster is begun on it."""

import os
import shutil
from pathlib import Path

from local_cluster.errors import HostUnfit

PROGRAMS = {
    "bridge": "iproute2",
    "hostname": "hostname",
    "ip": "iproute2",
    "mount": "mount",
    "nft": "nftables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
HIDDEN = tuple(map(Path, ("/etc", "/proc", "/run", "/sys", "/var/lib", "/var/log")))


def require_root() -> None:
    """Raises HostUnfit."""
    if os.geteuid() != 0:
        raise HostUnfit("the cluster is made of namespaces and mounts: run this as root")


def check(cache: Path, path: str) -> None:
    """Raises HostUnfit for what is missing: rights, programs on `path`, parts where machines see them."""
    require_root()
    missing = {name: package for name, package in PROGRAMS.items() if shutil.which(name, path=path) is None}
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        raise HostUnfit(f"{', '.join(missing)} not found: run `apt-get install {packages}`")
    for place in HIDDEN:
        if cache.is_relative_to(place):
            raise HostUnfit(
                f"move ROADSTEAD_CACHE: machines have a {place} of their own, and do not see {cache}"
            )
