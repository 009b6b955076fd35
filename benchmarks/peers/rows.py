"""What is compared: each row is a load, with the bar that Roadstead has to reach against each peer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

from benchmarks.peers import loads
from benchmarks.peers.client import Connection, Way
from benchmarks.peers.ground import REPOSITORY, Kind
from benchmarks.peers.loads import Bulk, Sample
from benchmarks.peers.server import Server

_MIB = 1024 * 1024
_LARGE = 64 * 1024  # bytes: files of this size and more are what a push leaves behind
_SMALL_CLIENTS = 8


@dataclass(frozen=True)
class Sizes:
    """How much is done in one measurement."""

    seconds: float = 3.0  # of requests for one small thing
    blob: int = 128  # MiB
    blobs: int = 8
    small: int = 2000  # objects
    tags: int = 100_000


@dataclass
class Contestant:
    """A server, and what was pushed to it before. `stored` is where its bytes lie, if that is known."""

    server: Server
    stored: Path | None
    manifest: str = ""
    blobs: tuple[str, ...] = ()

    def prepare(self, bulk: Bulk, sizes: Sizes) -> None:
        connection = self.server.connect()
        self.manifest = loads.push_image(connection, "latest")
        blobs = []
        for _ in range(sizes.blobs):
            digest, pieces = bulk.blob()
            connection.push(REPOSITORY, digest, pieces)
            blobs.append(digest)
        self.blobs = tuple(blobs)
        connection.close()

    def files(self) -> set[Path]:
        """Large files of its storage."""
        if self.stored is None:
            return set()
        return {file for file in self.stored.rglob("*") if file.is_file() and file.stat().st_size >= _LARGE}


@dataclass(frozen=True)
class Row:
    """`bars` are by the peer's name: how many times as much Roadstead does, by the clock and by CPU time."""

    what: str
    unit: str
    bars: Mapping[str, float]
    measure: Callable[[Contestant], Sample]


def rows(kind: Kind, *, tls: bool, bulk: Bulk, sizes: Sizes) -> Iterator[Row]:
    """The rows of one storage, over plain HTTP or TLS."""
    yield from _manifests(kind, sizes)
    yield from _pulls(kind, tls=tls, sizes=sizes)
    yield from _pushes(kind, bulk)
    bars = _against(5, 5) if kind == "s3" else _against(2.5, 1.5)
    yield Row(f"small blobs and manifests pushed, {_SMALL_CLIENTS} clients", "/s", bars, _small(sizes))


def encryption(kind: Kind, bulk: Bulk) -> Iterator[Row]:
    """What Roadstead does with a tenant's key, and without."""
    pull = partial(_pulled_cold, clients=1) if kind == "s3" else partial(_pulled, clients=1)
    yield Row(
        "push, 1 client, monolithic", "MiB/s", {}, partial(_pushed, bulk=bulk, clients=1, way="monolithic")
    )
    yield Row("blob GET, 1 client", "MiB/s", {}, pull)


def _against(distribution: float, zot: float) -> Mapping[str, float]:
    return {"Distribution": distribution, "zot": zot}


def _manifests(kind: Kind, sizes: Sizes) -> Iterator[Row]:
    def by_tag(one: Contestant) -> Sample:
        return loads.wrk(one.server, f"/v2/{REPOSITORY}/manifests/latest", sizes.seconds)

    def by_digest(one: Contestant) -> Sample:
        return loads.wrk(one.server, f"/v2/{REPOSITORY}/manifests/{one.manifest}", sizes.seconds)

    yield Row("manifest GET by tag", "/s", _against(2.5, 4) if kind == "s3" else _against(5, 2.5), by_tag)
    yield Row(
        "manifest GET by digest", "/s", _against(8, 15) if kind == "s3" else _against(5, 2.5), by_digest
    )


def _pulls(kind: Kind, *, tls: bool, sizes: Sizes) -> Iterator[Row]:
    if kind == "directory":
        bars = _against(1.0, 1.0) if tls else _against(1.4, 1.2)
        yield Row("blob GET, 1 client", "MiB/s", bars, lambda one: _pulled(one, 1))
        yield Row(f"blob GET, {sizes.blobs} clients", "MiB/s", bars, lambda one: _pulled(one, sizes.blobs))
        return
    for clients in (1, sizes.blobs):
        many = f"{clients} client{'s' if clients > 1 else ''}"
        cold, again = partial(_pulled_cold, clients=clients), partial(_pulled_again, clients=clients)
        yield Row(f"blob GET, {many}, cold", "MiB/s", _against(0.9, 1.2), cold)
        yield Row(f"blob GET, {many}, pulled before", "MiB/s", _against(1.5, 2.5), again)


def _pulled(one: Contestant, clients: int, rounds: int = 2) -> Sample:
    """Every blob so many times; the clients share them."""

    def work(connection: Connection, number: int) -> float:
        mine = one.blobs[number::clients] * rounds
        return sum(connection.pull(f"/v2/{REPOSITORY}/blobs/{digest}") for digest in mine) / _MIB

    return loads.together(one.server, clients, work)


def _pulled_cold(one: Contestant, clients: int) -> Sample:
    _pulled_by_all(one)  # a cache that fills at the second pull has them now, and loses them
    one.server.forget()
    return _pulled(one, clients, 1)


def _pulled_again(one: Contestant, clients: int) -> Sample:
    """What was pulled twice: a cache may wait for the second time."""
    _pulled_by_all(one)
    return _pulled(one, clients)


def _pulled_by_all(one: Contestant) -> None:
    """Every blob twice, from each replica, one after the other."""

    def work(connection: Connection) -> None:
        for digest in one.blobs * 2:
            connection.pull(f"/v2/{REPOSITORY}/blobs/{digest}")

    for number in range(len(one.server.urls)):
        connection = one.server.connect(number)
        try:
            work(connection)
        finally:
            connection.close()


def _pushes(kind: Kind, bulk: Bulk) -> Iterator[Row]:
    for clients in (1, 4):
        many = f"{clients} client{'s' if clients > 1 else ''}"
        bar = (3.0 if clients == 1 else 2.0) if kind == "s3" else (1.2 if clients == 1 else 1.0)
        for way in get_args(Way):
            load = partial(_pushed, bulk=bulk, clients=clients, way=way)
            yield Row(f"push, {many}, {way}", "MiB/s", _against(bar, bar), load)


def _pushed(one: Contestant, bulk: Bulk, clients: int, way: Way) -> Sample:
    """New blobs, which are taken away from the storage when it is measured: memory is not endless."""
    blobs = [bulk.blob() for _ in range(max(clients, 2))]
    before = one.files()

    def work(connection: Connection, number: int) -> float:
        mine = blobs[number::clients]
        for digest, pieces in mine:
            connection.push(REPOSITORY, digest, pieces, way)
        return sum(len(piece) for _, pieces in mine for piece in pieces) / _MIB

    try:
        return loads.together(one.server, clients, work)
    finally:
        for file in one.files() - before:
            file.unlink(missing_ok=True)


def _small(sizes: Sizes) -> Callable[[Contestant], Sample]:
    def measure(one: Contestant) -> Sample:
        each = sizes.small // _SMALL_CLIENTS
        return loads.together(one.server, _SMALL_CLIENTS, lambda it, _number: loads.push_small(it, each))

    return measure
