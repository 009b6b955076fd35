"""The base image where no registry can be reached: a Debian with its Python, by mmdebstrap."""

from collections.abc import Callable
from pathlib import Path

from local_cluster.cache import digest_of, make_once
from local_cluster.process import run

DEBIAN = "bookworm"  # its Python is what python_packages.PYTHON says
# usr-is-merged stands in for usrmerge, which would bring all of Perl.
PACKAGES = ("python3", "ca-certificates", "usr-is-merged")
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")
# Of this machine (names, proxies) nothing may stay, and package lists are of no use without apt.
REMOVED = (
    "/etc/apt",
    "/etc/resolv.conf",
    "/etc/hostname",
    "/var/lib/apt",
    "/var/cache/apt",
    "/var/cache/debconf",
    "/var/log",
)
# No program in a pod has a use for another user's rights.
NO_SETUID = 'find "$1" -xdev -type f -perm /6000 -exec chmod a-s {} +'
HOOKS = "/usr/share/mmdebstrap/hooks/merged-usr"
CONTAINERFILE = "FROM scratch\nADD rootfs.tar /\nENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin\n"


def key() -> str:
    return digest_of((DEBIAN, *PACKAGES, *LEFT_OUT, *REMOVED, NO_SETUID, CONTAINERFILE))


def rootfs(folder: Path, report: Callable[[str], None]) -> Path:
    """A tar of the root file system, about 100 MB, made once."""
    entry = folder / f"rootfs-{key()}.tar"

    def make(archive: Path) -> None:
        report(f"base image: a small Debian {DEBIAN} with Python (20 s)")
        run(command(archive, acquire_options()))

    make_once(entry, make, waiting=lambda: report("base image: another process makes it; waiting"))
    return entry


def command(archive: Path, apt_options: list[str]) -> list[str]:
    return [
        "mmdebstrap",
        "--variant=essential",
        f"--include={','.join(PACKAGES)}",
        f"--hook-dir={HOOKS}",
        "--skip=cleanup/apt,cleanup/mmdebstrap",  # REMOVED goes further
        *(f"--aptopt={option}" for option in apt_options),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT),
        *(f'--customize-hook=rm -rf "$1"{path}' for path in REMOVED),
        f"--customize-hook={NO_SETUID}",
        DEBIAN,
        str(archive),
    ]


def acquire_options() -> list[str]:
    """How this machine's apt reaches the network (proxies, certificates), for the apt of mmdebstrap."""
    lines = run(["apt-config", "dump", "Acquire"], keep=None).splitlines()
    return [
        line for line in lines if line.startswith(("Acquire::http", "Acquire::Retries")) and '""' not in line
    ]
