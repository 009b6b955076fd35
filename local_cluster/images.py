"""The container images, built without a Docker engine (or with one), as archives that nodes can import.

    rootfs-KEY.tar ──────────────► base image ─┐           Debian and its Python, by mmdebstrap
    dependencies-EXTRA-KEY.tar ────────────────┼─► NAME-KEY.tar (roadstead.local/NAME:KEY)
    the project's wheel, binaries of parts.py ─┘           by images/Containerfile

Every file is named by a hash of what goes into it. The base is never renewed by age, so that two clones of
one commit get the same images, also offline; Debian's updates come by emptying the cache (`make clean`).
Images for a production cluster are built over the Containerfile's own BASE.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from local_cluster import base, python_packages
from local_cluster.cache import digest_of, locked, make_once
from local_cluster.engine import Engine
from local_cluster.errors import PartMissing, SourcesChanged
from local_cluster.parts import Parts

PROJECT = Path(__file__).parent.parent
CONTAINERFILE = PROJECT / "images" / "Containerfile"
GREETING = PROJECT / "images" / "greeting.txt"
HOST = "roadstead.local"  # nothing answers there: these images come from archives only
PYTHON_IMAGES = ("operator", "runtime")
PROGRAM_IMAGES = ("versitygw", "pause", "hello")
NAMES = PYTHON_IMAGES + PROGRAM_IMAGES


@dataclass(frozen=True)
class Image:
    """`reference` is the name in a pod's spec; `archive` a docker-archive that carries it."""

    name: str
    reference: str
    archive: Path


@dataclass(frozen=True)
class Images:
    """All images of the project."""

    operator: Image
    runtime: Image
    versitygw: Image
    pause: Image
    hello: Image

    @property
    def preloaded(self) -> tuple[Path, ...]:
        """Archives for every node; without `hello`, which nodes must pull from a registry."""
        return tuple(image.archive for image in (self.pause, self.operator, self.runtime, self.versitygw))


def images(parts: Parts) -> Images:
    """Names of the images as this clone would build them; says nothing about whether they are built."""
    return Images(**{name: image(parts, name) for name in NAMES})


def image(parts: Parts, name: str) -> Image:
    key = digest_of((name, base.key(), CONTAINERFILE.read_text(), *inputs(parts, name)))
    return Image(name, f"{HOST}/{name}:{key}", folder(parts) / f"{name}-{key}.tar")


def inputs(parts: Parts, name: str) -> Iterable[str]:
    """What an image is made from, beside base and Containerfile, as keys."""
    if name in PYTHON_IMAGES:
        return python_packages.dependencies_key(name), python_packages.project_key()
    extra = (GREETING.read_text(),) if name == "hello" else ()
    return parts.binary(name).parent.name, *extra


def folder(parts: Parts) -> Path:
    return parts.root / "images"


def existing(parts: Parts, name: str) -> Image:
    """An image that is built already. Raises PartMissing."""
    found = image(parts, name)
    if not found.archive.exists():
        raise PartMissing(f"image {name}: not built from the sources of this clone yet; run `make parts`")
    return found


def build(
    parts: Parts, engine: Engine, report: Callable[[str], None], wanted: Iterable[str] = NAMES
) -> Images:
    """Builds what is not built yet, from built parts. Raises ClusterError with the failing tool's words."""
    built = {name: build_one(parts, engine, name, report) for name in wanted}
    return Images(**{name: built.get(name) or image(parts, name) for name in NAMES})


def build_one(parts: Parts, engine: Engine, name: str, report: Callable[[str], None]) -> Image:
    started = time.monotonic()
    if name in PYTHON_IMAGES:
        python_packages.dependencies(folder(parts), name, report)  # slow, so before the sources are looked at
    result = image(parts, name)

    def waiting() -> None:
        report(f"image {name}: another process builds it; waiting")

    def make(archive: Path) -> None:
        report(f"image {name}: building")
        with tempfile.TemporaryDirectory(dir=archive.parent) as context:
            fill(parts, name, Path(context))
            if image(parts, name) != result:  # or the archive would lie about what is in it
                raise SourcesChanged(f"image {name}: its sources changed while they were read; build again")
            # One engine at a time: what a build that was killed left in its storage can then be swept safely.
            with locked(folder(parts) / ".locks" / "engine", waiting):
                engine.build(Path(context), name, result.reference, archive)

    made = make_once(result.archive, make, waiting=waiting)
    if made:
        forget_older(result)
    report(f"image {name}: {f'built in {time.monotonic() - started:.1f} s' if made else 'already built'}")
    return result


def fill(parts: Parts, name: str, context: Path) -> None:
    """Puts into a build context what the Containerfile's target `name` asks for."""
    shutil.copy(CONTAINERFILE, context / "Containerfile")
    if name in PYTHON_IMAGES:
        dependencies = python_packages.dependencies_tar(folder(parts), name)
        (context / "dependencies.tar").hardlink_to(dependencies)
        python_packages.write_project(context / "project.tar")
        return
    shutil.copy(parts.binary(name), context / name)
    if name == "hello":
        shutil.copy(GREETING, context)


KEPT = 4


def forget_older(newest: Image) -> None:
    """Every change of the sources makes another archive: the last few stay, for clones side by side."""
    archives = newest.archive.parent.glob(f"{newest.name}-*.tar")
    by_age = sorted(archives, key=lambda archive: archive.stat().st_mtime, reverse=True)
    for archive in by_age[KEPT:]:
        archive.unlink(missing_ok=True)
