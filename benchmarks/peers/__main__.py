"""`make bench-peers`: Roadstead beside CNCF Distribution, and any registry that is running already.

Every registry stands on the same storage, is asked by the same client with a bearer token, and takes its
turn in every round. A ratio is how many times as much Roadstead does in the same time, and with the same
CPU time of its processes.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

from benchmarks.peers import memory, rows, tags
from benchmarks.peers.distribution import build, distribution
from benchmarks.peers.ground import Ground, Kind, ground
from benchmarks.peers.loads import Bulk, Sample
from benchmarks.peers.roadstead import ENCRYPTED, NAME, image_python, roadstead
from benchmarks.peers.rows import Contestant, Row, Sizes
from benchmarks.peers.server import Server
from benchmarks.peers.table import HEAD, UNKNOWN, added, line
from local_cluster import parts
from local_cluster.build import cache_root

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it


def main() -> int:
    words = _parser().parse_args()
    parts.build(cache_root(), print, [part for part in parts.ALL if part.name == "versitygw"])
    program = build()
    folder = Path(tempfile.mkdtemp(prefix="roadstead-peers-", dir=words.folder))
    print(f"\n{platform.platform()}, {os.cpu_count()} cores, {words.python}, {folder}")
    print(f"load average {os.getloadavg()[0]:.1f} at the start; {words.rounds} rounds\n\n{HEAD}", flush=True)
    try:
        for kind in words.storage:
            for tls in words.tls:
                _Scene(words, kind, tls == "on").run(folder / f"{kind}-{tls}", program)
    finally:
        shutil.rmtree(folder)
    print(f"\nload average {os.getloadavg()[0]:.1f} at the end")
    return 0


class _Scene:
    """One storage, TLS on or off: all registries, all rounds."""

    def __init__(self, words: argparse.Namespace, kind: Kind, tls: bool) -> None:
        self._words = words
        self._kind: Kind = kind
        self._tls = tls
        self._sizes = Sizes(**{field.name: getattr(words, field.name) for field in fields(Sizes)})
        self._bulk = Bulk(self._sizes.blob)
        self._replicas = words.replicas or (1 if kind == "s3" else os.cpu_count() or 1)

    def run(self, folder: Path, program: Path) -> None:
        with ExitStack() as stack:
            place = stack.enter_context(ground(folder, self._kind, tls=self._tls, s3_tls=self._words.s3_tls))
            ours = stack.enter_context(roadstead(place, self._words.python, self._replicas))
            servers = [ours, stack.enter_context(distribution(place, program))]
            known = [Contestant(server, place.stored(server.name.lower())) for server in servers]
            every = [*known, *(Contestant(server, None) for server in self._given(place))]
            for one in every:
                one.prepare(self._bulk, self._sizes)
            self._contest(rows.rows(self._kind, tls=self._tls, bulk=self._bulk, sizes=self._sizes), every)
            self._encryption(place, known[0])
            if self._words.memory_gib and not self._tls:
                self._memory(known)
            if self._kind == "s3" and not self._tls:
                self._tags(known)
        shutil.rmtree(folder)

    def _given(self, place: Ground) -> Iterator[Server]:
        """The registries that were running before, where their TLS is that of the scene."""
        authorizations = dict(self._words.authorization)
        for name, url in self._words.url:
            if url.startswith("https:") == self._tls:
                pids = tuple(int(pid) for whose, pid in self._words.pid if whose == name)
                bearer = authorizations.get(name, place.authorization())
                yield Server(name, (url,), bearer, self._words.ca_file, pids)

    def _contest(self, every_row: Iterator[Row], contestants: list[Contestant]) -> None:
        for row in every_row:
            if not re.search(self._words.only, f"{self._where}: {row.what}"):
                continue
            samples = self._measured(row, contestants)
            ours = samples.pop(NAME)
            for peer, theirs in samples.items():
                print(line(self._where, row, ours, theirs, peer=peer, bar=row.bars.get(peer)), flush=True)

    @property
    def _where(self) -> str:
        return f"{self._kind}{', TLS' if self._tls else ''}"

    def _measured(self, row: Row, contestants: list[Contestant]) -> dict[str, list[Sample]]:
        """All rounds, by the servers' names."""
        samples: dict[str, list[Sample]] = {one.server.name: [] for one in contestants}
        for number in range(self._words.rounds):
            for one in contestants if number % 2 else reversed(contestants):
                samples[one.server.name].append(row.measure(one))
        return samples

    def _encryption(self, place: Ground, clear: Contestant) -> None:
        """Beside a second Roadstead, that differs in its encryption only."""
        where = self._where
        wanted = [
            row
            for row in rows.encryption(self._kind, self._bulk)
            if re.search(self._words.only, f"{where}: encrypted {row.what}")
        ]
        if not wanted:
            return
        with roadstead(place, self._words.python, self._replicas, ENCRYPTED) as server:
            sealed = Contestant(server, place.stored(ENCRYPTED.lower()))
            sealed.prepare(self._bulk, self._sizes)
            for row in wanted:
                taken = self._measured(row, [clear, sealed])
                print(added(where, row, taken[NAME], taken[ENCRYPTED]), flush=True)

    def _tags(self, known: list[Contestant]) -> None:
        wanted = [row for row in tags.rows() if re.search(self._words.only, f"s3: {row.what}")]
        if wanted:
            for one in known:
                tags.seed(one, self._sizes.tags)
            self._contest(iter(wanted), known)

    def _memory(self, known: list[Contestant]) -> None:
        times = max(1, self._words.memory_gib * 1024 // self._sizes.blob)
        for one in known:
            if not re.search(self._words.only, f"{self._kind}: memory"):
                continue
            for found in memory.footprints(one, self._bulk, times, self._sizes.blob):
                bar = f"≤ {found.bar:g} MiB" if found.bar and one.server.name == NAME else UNKNOWN
                verdict = "" if bar == UNKNOWN else "met" if found.mib <= (found.bar or 0) else "**missed**"
                cells = [f"{self._kind}: memory, {found.what}", f"{found.mib:.0f} MiB", one.server.name]
                print(f"| {' | '.join([*cells, '', '', '', bar, verdict])} |", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="[%(default)s]")
    parser.add_argument("--only", default="", metavar="REGEX", help="rows, as they are printed")
    parser.add_argument("--storage", nargs="+", choices=["directory", "s3"], default=["directory", "s3"])
    parser.add_argument("--tls", nargs="+", choices=["off", "on"], default=["off", "on"])
    parser.add_argument("--s3-tls", action="store_true", help="TLS on the way to the bucket")
    for field in fields(Sizes):
        parser.add_argument(
            f"--{field.name}", type=type(field.default), default=field.default, help="[%(default)s]"
        )
    parser.add_argument(
        "--memory-gib", type=int, default=6, help="size of a large blob; 0: not [%(default)s]"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=_SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None,
        help="where every storage lies: 25 GiB; in memory, if it can be",
    )
    for option, what in (
        ("url", "a registry that is running already"),
        ("authorization", "the Authorization header for it, where the benchmark's own bearer is not good"),
        ("pid", "its process, for CPU time"),
    ):
        parser.add_argument(f"--{option}", type=_pair, action="append", default=[], help=what)
    parser.add_argument(
        "--replicas",
        type=int,
        help="of Roadstead [one for each core; on S3 one, for its server needs a core too]",
    )
    parser.add_argument(
        "--python", type=Path, default=image_python(), help="which runs Roadstead [%(default)s]"
    )
    parser.add_argument("--ca-file", type=Path, help="for https URLs")
    return parser


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError("say it as NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
