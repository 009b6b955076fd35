"""A repository of very many tags: one is pushed, and its files are copied under other names.

Pushing a hundred thousand would take longer than everything else; how the storage names a tag is not known
here, only that the tag's name is a component of the path, wherever it stands.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers import loads
from benchmarks.peers.client import Connection, RequestFailed
from benchmarks.peers.ground import REPOSITORY
from benchmarks.peers.loads import Sample
from benchmarks.peers.rows import Contestant, Row

_SEED = "seed-of-many"
_PAGES = 20


def seed(one: Contestant, count: int) -> None:
    """Raises RuntimeError where the storage keeps tags in a way that cannot be copied."""
    assert one.stored
    connection = one.server.connect()
    loads.push_image(connection, _SEED)
    made = [path for path in one.stored.rglob(_SEED) if path.exists()]
    if not made:
        raise RuntimeError(f"no file of {one.server.name} bears a tag's name")
    for number in range(count - 1):
        for path in made:
            _copy(path, path.with_name(f"v{number:08}"))
    first = json.loads(connection.expect(200, "GET", f"/v2/{REPOSITORY}/tags/list?n=10").body)
    if "v00000003" not in first["tags"]:
        raise RuntimeError(f"{one.server.name} does not list the tags that were copied: {first}")
    connection.close()


def rows() -> Iterator[Row]:
    bars = {"Distribution": 10.0, "zot": 1.0}
    yield Row("tag list, first page of 1,000", "pages/s", bars, _first)
    yield Row("tag list, whole", "tags/s", bars, _whole)


def _first(one: Contestant) -> Sample:
    path = f"/v2/{REPOSITORY}/tags/list?n=1000"

    def work(connection: Connection, _number: int) -> float:
        for _ in range(_PAGES):
            connection.expect(200, "GET", path)
        return _PAGES

    return loads.together(one.server, 1, work)


def _whole(one: Contestant) -> Sample:
    """As clients do: without a limit of their own, and after every Link."""

    def work(connection: Connection, _number: int) -> float:
        path, count = f"/v2/{REPOSITORY}/tags/list", 0
        while path:
            reply = connection.expect(200, "GET", path)
            tags = json.loads(reply.body)["tags"]
            if not tags:
                raise RequestFailed(f"{path} has no tags")
            count += len(tags)
            path = reply.headers.get("link", "").partition("<")[2].partition(">")[0]
        return count

    return loads.together(one.server, 1, work)


def _copy(source: Path, target: Path) -> None:
    """Extended attributes too, in which an S3 server may keep what it knows of an object."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)
