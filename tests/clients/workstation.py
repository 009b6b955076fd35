"""Where somebody works with the registry: real client programs, and a home of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local_cluster.build import cache_root
from local_cluster.errors import PartMissing
from local_cluster.parts import Parts

DEBIAN = frozenset({"skopeo", "buildah"})  # its packages; all others are parts that are built
SECONDS = 120.0
NOWHERE = "http://127.0.0.1:9"  # nobody listens: a call that would leave the loopback fails at once


@dataclass(frozen=True)
class Program:
    """A client as in a terminal; the words of `always` stand before those of each call."""

    file: Path
    environment: dict[str, str]
    always: tuple[str, ...] = ()

    def __call__(self, *words: str | Path, stdin: str = "", seconds: float = SECONDS) -> str:
        """What it printed; it ended well."""
        ended = self._run(words, stdin, seconds)
        assert ended.returncode == 0, f"{self.file.name} {words}: {ended.stdout}{ended.stderr}"
        return ended.stdout.strip()

    def refused(self, *words: str | Path, stdin: str = "") -> str:
        """What it complained of; it failed."""
        ended = self._run(words, stdin, SECONDS)
        assert ended.returncode != 0, f"{self.file.name} {words}: {ended.stdout}"
        return ended.stderr.strip()

    def _run(
        self, words: Sequence[str | Path], stdin: str, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.file, *self.always, *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=self.environment,
            cwd=self.environment["HOME"],
        )


@dataclass(frozen=True)
class Workstation:
    """Programs that share a home; `host` is the registry, whose certificate `authority` has signed."""

    home: Path
    host: str
    authority: Path

    def program(self, name: str, *always: str, **environment: str) -> Program:
        """Raises PartMissing where it was not built or installed."""
        (self.home / "run").mkdir(parents=True, exist_ok=True)
        given = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "SSL_CERT_FILE": str(self.authority),
            "HTTP_PROXY": NOWHERE,
            "HTTPS_PROXY": NOWHERE,
        }
        return Program(program_file(name), {**given, **environment}, always)


def program_file(name: str) -> Path:
    if name not in DEBIAN:
        return Parts(cache_root()).binary(name)
    found = shutil.which(name)
    if found is None:
        raise PartMissing(f"{name}: not installed; apt-get install {name}")
    return Path(found)
