"""`python -m local_cluster.build`: Debian packages, programs and images, showing how long each takes.

Without names everything is built: the programs that only tests need as well.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from local_cluster import debian, images, parts
from local_cluster.engine import Buildah, Docker, Engine
from local_cluster.errors import ClusterError
from local_cluster.images import Images
from local_cluster.parts import Part, Parts

IMAGES = tuple(f"image-{name}" for name in images.NAMES)


def everything(
    root: Path,
    report: Callable[[str], None],
    *,
    docker: bool = False,
    programs: Iterable[Part] = parts.CLUSTER,
) -> tuple[Parts, Images]:
    """All that a cluster needs, built where it is not yet; `root` is the cache. Raises ClusterError.

    With `docker` that engine builds the images, over the base of its registry.
    """
    if not docker:
        debian.ensure(report)
    built = parts.build(root, report, programs)
    return built, images.build(built, engine_for(root, report, docker=docker), report)


def engine_for(root: Path, report: Callable[[str], None], *, docker: bool) -> Engine:
    return Docker() if docker else Buildah(root, report)


def main() -> int:
    words = parse()
    started = time.monotonic()

    def report(line: str) -> None:
        print(f"[{time.monotonic() - started:4.0f} s] {line}", flush=True)

    try:
        if words.name:
            some(cache_root(), report, set(words.name), docker=words.docker)
        else:
            everything(cache_root(), report, docker=words.docker, programs=parts.ALL)
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def some(root: Path, report: Callable[[str], None], names: set[str], *, docker: bool) -> None:
    """Only what is named; an image needs its programs built."""
    built = parts.build(root, report, [part for part in parts.EVERY if part.name in names])
    wanted = [name for name in images.NAMES if f"image-{name}" in names]
    images.build(built, engine_for(root, report, docker=docker), report, wanted)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local_cluster.build", description=__doc__)
    names = [*(part.name for part in parts.EVERY), *IMAGES]
    parser.add_argument("name", nargs="*", metavar="NAME", help=f"only these: {', '.join(names)}")
    parser.add_argument(
        "--docker", action="store_true", help="images by a Docker engine, over its registry's base"
    )
    words = parser.parse_args()
    if unknown := set(words.name) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return words


def cache_root() -> Path:
    return Path(os.environ.get("ROADSTEAD_CACHE") or Path.home() / ".cache" / "roadstead")


if __name__ == "__main__":
    sys.exit(main())
