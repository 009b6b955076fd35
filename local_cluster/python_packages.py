"""What the images import: packages from PyPI as the lock files pin them, and the project's own wheel.

The packages are put together by the pip of this machine, which knows its index, proxies and certificates,
but for the Python of the images, which is another one. Both become tars, equal whenever their inputs are.
"""

import platform
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from local_cluster.cache import digest_of, make_once
from local_cluster.process import run

PROJECT = Path(__file__).parent.parent
PYTHON = "3.11"  # of Debian bookworm and of the Containerfile's default BASE
GLIBC_MINOR = 36  # of bookworm: no wheel may want a newer one
SOURCES = ("operator/registry_operator", "registry_runtime")

# Folders that nothing of ours imports, of which each node would store thousands of files: the descriptions of
# 400 services of AWS (the runtime speaks S3, and STS for credentials), and a second client of Kubernetes.
SERVICES = ("s3", "sts")
UNUSED = ("kubernetes/aio",)


def lock(extra: str) -> Path:
    return PROJECT / "images" / f"requirements-{extra}.lock"


def dependencies_key(extra: str) -> str:
    return digest_of((*target(), *SERVICES, *UNUSED, lock(extra).read_text()))


def dependencies_tar(folder: Path, extra: str) -> Path:
    return folder / f"dependencies-{extra}-{dependencies_key(extra)}.tar"


def dependencies(folder: Path, extra: str, report: Callable[[str], None]) -> Path:
    """A tar of the packages of `images/requirements-EXTRA.lock`, checked by their hashes, made once."""
    entry = dependencies_tar(folder, extra)

    def make(archive: Path) -> None:
        report(f"image {extra}: Python packages of {lock(extra).name}")
        with tempfile.TemporaryDirectory(dir=archive.parent) as site:
            run(
                [
                    *pip("install", "--target", site),
                    "--require-hashes",
                    *target(),
                    "--requirement",
                    str(lock(extra)),
                ]
            )
            pack(Path(site), archive)

    make_once(
        entry, make, waiting=lambda: report(f"image {extra}: another process fetches its packages; waiting")
    )
    return entry


def pip(*words: str) -> list[str]:
    return [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]


def target() -> list[str]:
    """Options of pip for wheels that the images' Python can import, whatever Python runs this program."""
    machine = platform.machine()
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MINOR, 4, -1)]
    tags += [f"manylinux{year}_{machine}" for year in ("2014", "2010", "1")]
    abis = (f"cp{PYTHON.replace('.', '')}", "abi3", "none")
    return [
        *(
            "--no-deps",
            "--no-compile",
            "--only-binary=:all:",
            "--implementation=cp",
            f"--python-version={PYTHON}",
        ),
        *(f"--abi={abi}" for abi in abis),
        *(f"--platform={tag}" for tag in tags),
    ]


def project_key() -> str:
    return digest_of((), project_files(), below=PROJECT)


def project_files() -> Iterator[Path]:
    """What the wheel is built from."""
    yield PROJECT / "pyproject.toml"
    for source in SOURCES:
        for file in (PROJECT / source).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file


def write_project(archive: Path) -> None:
    """Builds the project's wheel and writes its content as a tar: for pure Python that is installing."""
    with tempfile.TemporaryDirectory() as folder:
        run(
            [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
            cwd=PROJECT,
        )
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as content, tarfile.open(archive, "w") as tar:
            for entry in sorted(content.infolist(), key=lambda entry: entry.filename):
                member = tarfile.TarInfo(entry.filename)
                member.size, member.mode = entry.file_size, 0o644
                tar.addfile(member, content.open(entry))


def pack(folder: Path, archive: Path) -> None:
    """A tar without what differs from machine to machine: times, owners and order."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if not needed(member):
            return None
        member.mtime = member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        return member

    with tarfile.open(archive, "w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=path.name, filter=plain)


def needed(member: tarfile.TarInfo) -> bool:
    path = Path(member.name)
    if path.parent == Path("botocore/data") and member.isdir():
        return path.name in SERVICES
    return path.name != "__pycache__" and member.name not in UNUSED
