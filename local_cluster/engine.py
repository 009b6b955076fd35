"""Who builds images: buildah over a base of our own, or Docker over the Containerfile's. One method each."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from local_cluster import base
from local_cluster.process import run


class Engine(Protocol):
    """Builds one target of the Containerfile in `context` and writes it as a docker-archive."""

    def build(self, context: Path, target: str, reference: str, archive: Path) -> None: ...


@dataclass(frozen=True)
class Buildah:
    """Needs root, no daemon and no registry. Storage of its own, so that nothing of the user's is touched."""

    cache: Path
    report: Callable[[str], None]

    def build(self, context: Path, target: str, reference: str, archive: Path) -> None:
        self._sweep()
        self._base()
        version = f"--build-arg=VERSION={reference.rpartition(':')[2]}"
        sources = (f"--build-arg=BASE={self._base_reference}", version)
        run([*self._buildah("build"), *sources, "--target", target, "--tag", reference, str(context)])
        run([*self._buildah("push"), reference, f"docker-archive:{archive}:{reference}"])

    @property
    def run_root(self) -> Path:
        """Remembers what is mounted: another storage has its own."""
        return Path(f"/run/roadstead-images{self.cache}")

    @property
    def _base_reference(self) -> str:
        return f"localhost/roadstead-base:{base.key()}"

    def _base(self) -> None:
        """The base image, in the storage."""
        if run([*self._buildah("images"), "--quiet", "--filter", f"reference={self._base_reference}"]):
            return
        rootfs = base.rootfs(self.cache / "images", self.report)
        context = self.cache / "images" / ".base-context"
        context.mkdir(exist_ok=True)
        (context / "Containerfile").write_text(base.CONTAINERFILE)
        (context / "rootfs.tar").unlink(missing_ok=True)
        (context / "rootfs.tar").hardlink_to(rootfs)
        run([*self._buildah("build"), "--tag", self._base_reference, str(context)])

    def _sweep(self) -> None:
        """Containers that a build left that was killed."""
        run([*self._buildah("rm"), "--all"])

    def _buildah(self, verb: str) -> list[str]:
        storage = ["--root", f"{self.cache}/containers", "--runroot", str(self.run_root)]
        options = ["--isolation", "chroot", "--layers", "--quiet", "--file", "Containerfile"]
        return ["buildah", *storage, verb, *(options if verb == "build" else [])]


@dataclass(frozen=True)
class Docker:
    """Where a Docker engine runs; the base comes from its registry."""

    def build(self, context: Path, target: str, reference: str, archive: Path) -> None:
        version = f"VERSION={reference.rpartition(':')[2]}"
        options = ["--build-arg", version, "--target", target, "--tag", reference]
        run(["docker", "build", "--file", str(context / "Containerfile"), *options, str(context)])
        run(["docker", "save", "--output", str(archive), reference])
